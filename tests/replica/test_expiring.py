"""Credits that expire by themselves, whatever happens to one workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import structlog

from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.credits.crediting import Crediting, Purchase
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ledger import Kind
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.replica.housekeeping import expire_credits
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import START, ManualClock, a_workspace
from tests.domain.parts import an_actor, put_workspaces
from tests.transactions import changing

BILLER = an_actor()
DAY = timedelta(days=1)


class Failing(Crediting):
    """Fails, after what it did, as often as it has failures left."""

    failures: Sequence[Exception] = ()

    async def expire(self, workspace_id: str) -> None:
        await super().expire(workspace_id)
        if self.failures:
            *self.failures, failure = self.failures
            raise failure


async def a_ledger(clock: ManualClock, workspaces: int) -> tuple[MemoryStore, Books]:
    """Workspaces, each with credits that last a day."""
    store = MemoryStore(clock)
    names = [f"ws_{number:03}" for number in range(workspaces)]
    await put_workspaces(store, [a_workspace(name) for name in names])
    books = Books(store, Unfenced())
    for name in names:
        await Crediting(books).top_up(BILLER, name, Purchase("p", 5, expire_time=START + DAY))
    return store, books


async def test_a_failure_holds_up_no_other_workspace() -> None:
    """The log says of which workspace it was; the round goes on."""
    clock = ManualClock()
    _, books = await a_ledger(clock, 3)
    clock.time += DAY
    crediting = Failing(books)
    crediting.failures = [ValueError("two"), KeyAuthorityError(Reason.OVERLOADED, "one")]

    with structlog.testing.capture_logs() as logs:
        await expire_credits(crediting)

    assert [(line["event"], line["workspace_id"], line.get("reason")) for line in logs] == [
        ("not_expired", "ws_000", "OVERLOADED"),
        ("not_expired", "ws_001", None),
    ]
    for workspace_id in ("ws_000", "ws_001", "ws_002"):
        assert (await ReadingLedger(books).prove(BILLER, workspace_id)).account == Account(0)


async def test_one_round_goes_through_all() -> None:
    """However many there are, and though the first hundred have nothing that can expire."""
    clock = ManualClock()
    store, books = await a_ledger(clock, 201)
    for number in range(100):
        await hold_back(store, f"ws_{number:03}")
    clock.time += DAY

    await expire_credits(Crediting(books))

    for workspace_id in ("ws_100", "ws_200"):
        assert (await ReadingLedger(books).prove(BILLER, workspace_id)).account == Account(0)
    assert (await ReadingLedger(books).prove(BILLER, "ws_000")).account == Account(9, escrowed=5)


async def hold_back(store: MemoryStore, workspace_id: str) -> None:
    """Has the credits that expire stand in slices, and adds some that do not expire."""
    async with changing(store) as tx:
        sheet = await read_sheet(tx, workspace_id)
        sheet.grant(Grant(f"{workspace_id} 2", 4, tx.time), Kind.GRANT, "q", BILLER.signature)
        sheet.account = replace(sheet.account, escrowed=5)
        await write_sheet(tx, sheet)


async def test_the_balance_is_without_what_is_due() -> None:
    """Whoever asks before the round reads what it will leave."""
    clock = ManualClock()
    store, books = await a_ledger(clock, 2)
    await hold_back(store, "ws_000")
    clock.time += DAY

    assert await ReadingLedger(books).account(BILLER, "ws_000") == Account(9, escrowed=5)
    assert await ReadingLedger(books).account(BILLER, "ws_001") == Account(0)
    assert (await ReadingLedger(books).prove(BILLER, "ws_001")).account == Account(5)
