"""A ledger that a backup has a part of, and its export: what comes of them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyauthority.domain.auditing import Signature
from keyauthority.domain.callers import operator
from keyauthority.domain.credits.crediting import Crediting, Purchase
from keyauthority.domain.credits.entering import read_sheet, write_sheet
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.refunding import Refunding
from keyauthority.domain.credits.replaying import Exported, Reentered
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action
from keyauthority.domain.ledger import Entry, EntryFilter, Kind, Use, makes_grant
from keyauthority.domain.restoring import RESTORE, Replayed, Restoring
from keyauthority.domain.slices import OwnedSlice
from keyauthority.escrow.slices import Account, Slice
from keyauthority.storage.memory.books import Books as State
from tests.conformance.records import DAY, START, ManualClock, an_entry
from tests.domain.parts import UseCases, WatchedStore, an_actor
from tests.transactions import changing

BILLER = an_actor()
METER = Signature("clr_gw", "gateway", "SpendingService.Settle", person_id="p_1", person_name="김")
WORKSPACE = "ws_1"


class Past:
    """The history of a ledger: what happens to it, and a backup after each step."""

    def __init__(self, store: WatchedStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.cases = UseCases(store, None)  # type: ignore[arg-type]  # no secret is made
        self.backups: list[State] = [self.state]
        self._crediting = Crediting(self.cases.books)
        self._refunding = Refunding(self.cases.books)
        self._number = 0

    @property
    def state(self) -> State:
        assert self.store._books is not None
        return self.store._books

    async def top_up(self, amount: int, **terms: Any) -> str:
        name = self._name("purchase")
        await self._crediting.top_up(BILLER, WORKSPACE, Purchase(name, amount, **terms))
        return name

    async def adjust(self, amount: int) -> None:
        name = self._name("adjustment")
        await self._crediting.adjust(BILLER, WORKSPACE, amount, "정정", name)

    async def charge(self, cost: int, name: str = "", late: timedelta = timedelta()) -> str:
        name = name or self._name("charge")
        use = Use("key_1", "gpt-5", "/v1/x", name, {"input": cost}, "price_1", 7, True, 200, "s")
        async with changing(self.store) as tx:
            sheet = await read_sheet(tx, WORKSPACE)
            time = self.clock.time - late
            sheet.reduce(Kind.CHARGE, cost, name, METER, use=use, time=time)
            await write_sheet(tx, sheet)
        return name

    async def refund(self, subject: str, amount: int | None = None) -> None:
        # More than is left of it is refused.
        with suppress(KeyAuthorityError):
            await self._refunding.refund(
                BILLER, WORKSPACE, subject, amount, self._name("refund"), "a note"
            )

    async def set_apart(self, amount: int) -> None:
        """What stands in slices keeps grants from expiring."""
        async with changing(self.store) as tx:
            sheet = await read_sheet(tx, WORKSPACE)
            amount = max(min(amount, sheet.account.balance), 0)
            sheet.account = Account(sheet.account.balance, amount)
            await tx.slices.put([OwnedSlice(WORKSPACE, "s", "clr_gw", Slice(1, amount))])
            await write_sheet(tx, sheet)

    async def expire(self) -> None:
        await self._crediting.expire(WORKSPACE)

    async def entries(self) -> list[Entry]:
        """All of them, oldest first."""
        reading = ReadingLedger(self.cases.books)
        return (await reading.page(BILLER, EntryFilter(WORKSPACE), 10_000, None))[::-1]

    async def export(self) -> list[Exported]:
        """What an export says."""
        reading, entries = ReadingLedger(self.cases.books), await self.entries()
        granted = await reading.granted(WORKSPACE, entries)
        return [
            Exported(one, granted[one.subject].terms if makes_grant(one) else None)
            for one in entries
        ]

    async def go_back(self, backup: State, exported: Iterable[Exported] = ()) -> Reentered:
        """Restores the *backup*, and replays what is *exported*."""
        self.store._books = replace(backup, epoch=self.state.epoch)
        return (await self.replay(exported)).ledgers

    async def replay(
        self, exported: Iterable[Exported], *audit: Any, workspace_id: str = WORKSPACE
    ) -> Replayed:
        restoring = Restoring(self.cases.books)
        ledgers = {workspace_id: exported}
        _, replayed = await restoring.restore(operator(RESTORE), audit, ledgers=ledgers)
        return replayed

    async def adds_up(self) -> int:
        """The balance, which is what the proof says, too."""
        proof = await ReadingLedger(self.cases.books).prove(BILLER, WORKSPACE)
        assert proof.faults == ()
        return proof.account.balance

    def _name(self, what: str) -> str:
        self._number += 1
        return f"{what} {self._number}"


@pytest.fixture
def past(store: WatchedStore, clock: ManualClock) -> Past:
    return Past(store, clock)


async def live(past: Past, chance: random.Random, steps: int) -> None:
    """Anything that can happen to a ledger, a backup after each step."""
    charges, purchases = [""], [""]
    for _ in range(steps):
        past.clock.time += timedelta(seconds=chance.choice([0, 1, 3_000]))
        match chance.choice(["top up", "charge", "charge", "charge", "adjust", "refund", "other"]):
            case "top up":
                expires = chance.choice([None, past.clock.time + timedelta(hours=1)])
                purchases.append(
                    await past.top_up(
                        chance.randint(1, 50),
                        priority=chance.choice([50, 3]),
                        expire_time=expires,
                        promotional=chance.random() < 0.5,
                    )
                )
            case "charge":
                late = chance.choice([timedelta(), timedelta(hours=5)])
                charges.append(await past.charge(chance.randint(0, 30), late=late))
            case "adjust":
                await past.adjust(chance.choice([-20, -3, 4, 15]))
            case "refund":
                subject = chance.choice([*charges, *purchases])
                amount = chance.choice([None, 1, 5])
                if subject:
                    await past.refund(subject, amount)
            case "other":
                await past.set_apart(chance.choice([0, 0, 5, 20]))
                await past.expire()
        past.backups.append(past.state)


def draws(state: State) -> list[tuple[int, int]]:
    # Grants for debts that were refunded have names of their own in each ledger.
    return sorted((one.number, one.amount) for one in state.draws.get(WORKSPACE, ()))


def remains(state: State) -> list[Any]:
    grants = state.grants.get(WORKSPACE, {}).values()
    return sorted((one.remaining, one.create_time, str(one.terms)) for one in grants)


@pytest.mark.parametrize("seed", range(12))
async def test_a_ledger_is_continued_as_it_was(past: Past, seed: int) -> None:
    """From any backup, entry by entry, with what each drew and what remains of each grant."""
    await live(past, random.Random(seed), 40)
    lost, entries, exported = past.state, await past.entries(), await past.export()
    balance = await past.adds_up()

    for backup in past.backups:
        there = len(backup.entries.get(WORKSPACE, ()))

        done = await past.go_back(backup, exported)

        assert done == Reentered(len(entries) - there, there)
        assert await past.entries() == entries
        assert await past.adds_up() == balance
        assert past.state.accounts[WORKSPACE].escrowed == 0
        assert (draws(past.state), remains(past.state)) == (draws(lost), remains(lost))
        assert (await past.replay(exported)).ledgers == Reentered(0, len(entries))
        assert await past.entries() == entries


@pytest.mark.parametrize("seed", range(12))
async def test_a_ledger_that_went_on_loses_nothing(past: Past, seed: int) -> None:
    """Spools brought some of it before the export came, in their order; there are new entries, too."""
    chance = random.Random(seed)
    await live(past, chance, 40)
    exported = await past.export()
    backup = chance.choice(past.backups)
    there = len(backup.entries.get(WORKSPACE, ()))
    lost = [one.entry for one in exported[there:]]
    brought = [one for one in lost if one.kind is Kind.CHARGE and chance.random() < 0.6]
    chance.shuffle(brought)
    await past.go_back(backup)
    for one in brought:
        await past.charge(-one.amount, one.reference)
    await past.charge(2, "a new one")

    done = (await past.replay(exported)).ledgers

    entries = await past.entries()
    references = [one.reference for one in entries]
    assert len(set(references)) == len(references)
    left_out = {name.partition(": ")[2] for name in done.left_out}
    for entry in lost:
        if entry.kind is not Kind.EXPIRY and entry.reference not in left_out:
            assert entry.reference in references
    assert await past.adds_up() == sum(one.amount for one in entries)
    assert done.gaps == ()
    assert (await past.replay(exported)).ledgers.entered == 0


async def test_nothing_expires_twice(past: Past) -> None:
    """What has expired since the restore is not taken of other credits; what is left of it expires."""
    await past.top_up(10, expire_time=past.clock.time + DAY)
    await past.top_up(5)
    backup = past.state
    past.clock.time += DAY
    await past.expire()
    exported = await past.export()

    await past.go_back(backup)
    await past.charge(4, "a new one")
    assert (await past.replay(exported)).ledgers == Reentered(0, 2)
    assert await past.adds_up() == 11
    await past.expire()
    assert (await past.replay(exported)).ledgers == Reentered(0, 2)
    assert await past.adds_up() == 5


async def test_nothing_is_returned_twice(past: Past) -> None:
    """Somebody refunded by hand, under another name, what the export says was refunded."""
    purchase = await past.top_up(10)
    charge = await past.charge(6)
    backup = past.state
    await past.refund(charge, 4)
    await past.refund(purchase, 3)
    exported = await past.export()

    await past.go_back(backup)
    await past.refund(charge, 3)
    await past.refund(purchase)
    done = (await past.replay(exported)).ledgers

    assert done == Reentered(0, 2, left_out=("ws_1: refund 3", "ws_1: refund 4"))
    assert await past.adds_up() == -3


async def test_several_thousand_entries(past: Past) -> None:
    """They come in pieces; a refund of what stands in the same piece finds it."""
    await past.top_up(10_000)
    last = ""
    for number in range(2_100):
        last = await past.charge(number % 7)
    await past.refund(last)
    exported, entries = await past.export(), await past.entries()

    done = await past.go_back(past.backups[0], iter(exported))

    assert done == Reentered(2_102)
    assert await past.entries() == entries
    await past.adds_up()


async def test_entries_in_no_file_are_named(past: Past) -> None:
    """What follows them is entered nevertheless, but for a refund of what is not there."""
    await past.top_up(10)
    charge = await past.charge(3)
    await past.charge(1)
    await past.refund(charge)
    await past.charge(2)
    exported = await past.export()

    done = await past.go_back(past.backups[0], [exported[0], *exported[3:]])

    assert done == Reentered(2, gaps=("ws_1: 2 to 3",), left_out=("ws_1: refund 4",))
    assert await past.adds_up() == 8


async def test_a_workspace_that_the_backup_lacks(past: Past) -> None:
    """Nothing is entered for it. The audit has that it was created: then it is again, under its id."""
    await past.top_up(10)
    exported = [replace(one, entry=moved(one.entry, "ws_9")) for one in await past.export()]
    created = an_entry(
        action=Action.WORKSPACE_CREATED,
        subject="ws_9",
        workspace_id="ws_9",
        details={"name": "new"},
    )

    lacking = await past.replay(exported, workspace_id="ws_9")
    made = await past.replay(exported, created, workspace_id="ws_9")

    assert lacking.ledgers == Reentered(workspaces=("ws_9",))
    assert (made.workspaces_created, made.ledgers) == (1, Reentered(1))
    workspace = await past.cases.workspaces.get("ws_9")
    assert (workspace.name, workspace.create_time, workspace.suspended) == ("new", START, False)
    again = await past.replay(exported, created, workspace_id="ws_9")
    assert (again.workspaces_created, again.ledgers) == (0, Reentered(0, 1))


def moved(entry: Entry, workspace_id: str) -> Entry:
    return replace(entry, workspace_id=workspace_id, subject=f"{entry.subject} of {workspace_id}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": -4}, Reason.REFERENCE_REUSED),
        ({"kind": Kind.EXPIRY}, Reason.REFERENCE_REUSED),
        ({"reference": "another", "balance": 3}, Reason.REFERENCE_REUSED),
        ({"reference": "another", "amount": 3}, Reason.FIELD_INVALID),
        ({"reference": "another", "kind": Kind.GRANT, "amount": 3}, Reason.FIELD_INVALID),
        ({"reference": "another", "amount": -(2**62) - 8}, Reason.BALANCE_OUT_OF_RANGE),
    ],
)
async def test_what_is_no_continuation_is_refused_whole(
    past: Past, change: dict[str, Any], reason: Reason
) -> None:
    """Other books, or a file that was changed: nothing is entered, and no epoch begins."""
    await past.top_up(10)
    await past.charge(3)
    exported, before = await past.export(), past.state
    wrong = replace(exported[1], entry=replace(exported[1].entry, **change))
    if "reference" in change:
        wrong = replace(wrong, entry=replace(wrong.entry, number=3))

    with pytest.raises(KeyAuthorityError) as caught:
        await past.replay([*exported[:1], wrong])

    assert caught.value.reason is reason
    assert past.state is before


async def test_the_audit_tells_how_many(past: Past) -> None:
    """Of the entries themselves it tells nothing again: they say who entered them."""
    await past.top_up(10, expire_time=START + DAY)
    exported = await past.export()
    await past.go_back(past.backups[0], exported)

    audit = past.state.audit.values()
    assert [(one.action, one.details.get("entries")) for one in audit] == [
        (Action.EPOCH_BEGUN, "1")
    ]
