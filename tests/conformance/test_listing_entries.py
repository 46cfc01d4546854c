"""Listing and proving a large ledger, a part of it at a time."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import pytest

from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.ledger import Entry, EntryFilter, Kind, Use, Written
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Transaction
from keyauthority.escrow.slices import Account
from keyauthority.storage.memory import MemoryStore
from keyauthority.storage.sql.ledger import SqlLedger
from tests.conformance.records import DAY, START
from tests.domain.parts import an_actor
from tests.transactions import changing, reading

ACTOR = an_actor()
NUMBER = 60

Result = TypeVar("Result")


class InSmallParts:
    """The store under test; four entries are a part of its ledger."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.changes_at_once, self.sessions = store.changes_at_once, store.sessions
        self.snapshot, self.caller, self.change = store.snapshot, store.caller, store.change

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        return await self._store.read(lambda tx: work(in_small_parts(tx)))


def in_small_parts(tx: Transaction) -> Transaction:
    if not isinstance(tx.ledger, SqlLedger):
        return tx
    return replace(tx, ledger=SqlLedger(tx.ledger._statements, piece=4))


@pytest.fixture
def in_parts(store: Store) -> Store:
    return InSmallParts(store)


@pytest.fixture
async def entries(store: Store) -> list[Entry]:
    """Entries of all kinds, some of which came later than those after them. The newest comes first."""

    def entry(number: int) -> Entry:
        kind = list(Kind)[number % 7] if number % 7 < 5 else Kind.CHARGE
        use = Use(f"key_{number % 5}", f"model {number % 3}") if kind is Kind.CHARGE else Use()
        time = START + number // 3 * DAY - number % 3 * 2 * DAY
        return Entry("ws_1", number, kind, 1, number, f"r{number}", time, use=use)

    written = [entry(number) for number in range(1, NUMBER + 1)]
    async with changing(store) as tx:
        await tx.ledger.write([Written("ws_1", Account(NUMBER), written)])
    return written[::-1]


def matches(which: EntryFilter, entry: Entry) -> bool:
    return (
        which.kind in (None, entry.kind)
        and which.key_id in ("", entry.use.key_id)
        and which.model in ("", entry.use.model)
        and which.reference in ("", entry.reference)
        and (which.start is None or which.start <= entry.time)
        and (which.end is None or entry.time < which.end)
    )


async def test_every_filter(in_parts: Store, entries: list[Entry]) -> None:
    """Alone and with others: all that match are listed, page after page, and nothing else."""
    reading = ReadingLedger(Books(in_parts, Unfenced()))
    times: list[datetime | None] = [None, START + 3 * DAY, START + 4 * DAY]
    filters = [
        EntryFilter("ws_1", *values)
        for values in itertools.product(
            (None, Kind.CHARGE, Kind.REFUND),
            ("", "key_1"),
            ("", "model 2"),
            ("",),
            times,
            times,
        )
    ]
    filters += [EntryFilter("ws_1", kind, reference="r8") for kind in (None, *Kind)]
    for which in filters:
        pages: list[Entry] = []
        while page := await reading.page(ACTOR, which, 3, pages[-1].number if pages else None):
            pages += page
        assert pages == [entry for entry in entries if matches(which, entry)], which


@pytest.mark.parametrize(
    "which",
    [
        EntryFilter("ws_1", Kind.CHARGE, end=START - 9 * DAY),
        EntryFilter("ws_1", key_id="key_1", model="model 9"),
        EntryFilter("ws_1", model="model 1", start=START, end=START + 5 * DAY),
        EntryFilter("ws_1", Kind.CHARGE, start=START),
    ],
)
async def test_a_part_is_looked_at(
    store: Store, in_parts: Store, entries: list[Entry], which: EntryFilter
) -> None:
    """However few of the entries match, a read ends after a part of them."""
    if isinstance(store, MemoryStore):
        pytest.skip("nobody waits for reads in memory")
    matching, below, reads = list[Entry](), None, 0
    while below is not None or not reads:
        async with reading(in_parts) as tx:
            part, below = await tx.ledger.page(which, NUMBER, below)
        assert len(part) <= 4
        matching, reads = matching + part, reads + 1

    assert matching == [entry for entry in entries if matches(which, entry)]
    assert reads == 1 or below is None


@pytest.mark.parametrize("piece", [1, 7, NUMBER, 1_000])
async def test_a_proof_in_pieces(store: Store, entries: list[Entry], piece: int) -> None:
    """It is of the state that it began with, and finds what is missing wherever it is."""
    reading = ReadingLedger(Books(store, Unfenced()), piece)

    proof = await reading.prove(ACTOR, "ws_1")
    assert proof.entries == NUMBER
    # No grant was written: that alone is wrong.
    assert proof.faults == (f"what remains of the grants is 0, and the balance is {NUMBER}",)

    stray = Entry("ws_1", NUMBER + 3, Kind.CHARGE, -1, NUMBER - 1, "stray", START)
    async with changing(store) as tx:
        await tx.ledger.write([Written("ws_1", Account(NUMBER), [stray])])
    proof = await reading.prove(ACTOR, "ws_1")
    assert proof.entries == NUMBER + 1
    assert (
        f"the newest entry's number is {NUMBER + 3}, and the number of entries is {NUMBER + 1}"
        in (proof.faults)
    )
