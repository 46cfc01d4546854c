"""A ledger entered again by its export, in every kind of books."""

from __future__ import annotations

from typing import Any

from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import operator
from keyauthority.domain.credits.crediting import Crediting, Purchase
from keyauthority.domain.credits.reading import ReadingLedger
from keyauthority.domain.credits.refunding import Refunding
from keyauthority.domain.credits.replaying import Exported, Reentered
from keyauthority.domain.ledger import EntryFilter, makes_grant
from keyauthority.domain.ports import Store
from keyauthority.domain.restoring import RESTORE, Restoring
from keyauthority.escrow.slices import Account
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import DAY, ManualClock, a_workspace
from tests.conformance.test_ledger import BILLER, charge
from tests.transactions import changing, reading


async def export(store: Store) -> list[Exported]:
    reading = ReadingLedger(Books(store, Unfenced()))
    entries = await reading.page(BILLER, EntryFilter("ws_1"), 1_000, None)
    granted = await reading.granted("ws_1", entries)
    return [
        Exported(one, granted[one.subject].terms if makes_grant(one) else None)
        for one in entries[::-1]
    ]


async def live(store: Store, clock: ManualClock) -> None:
    """Everything that a ledger can have."""
    books = Books(store, Unfenced())
    crediting, refunding = Crediting(books), Refunding(books)
    terms: dict[str, Any] = {"priority": 3, "expire_time": clock.time + DAY, "promotional": True}
    await crediting.top_up(BILLER, "ws_1", Purchase("given", 10, **terms))
    await crediting.top_up(BILLER, "ws_1", Purchase("bought", 20, note="invoice"))
    await charge(store, 17, "across two")
    await crediting.adjust(BILLER, "ws_1", -1, "why", "down")
    await crediting.adjust(BILLER, "ws_1", 2, "why", "up")
    await refunding.refund(BILLER, "ws_1", "across two", 9, "back")
    await refunding.refund(BILLER, "ws_1", "bought", 3, "returned")
    clock.time += 2 * DAY
    await crediting.expire("ws_1")
    await charge(store, 40, "into debt")
    await refunding.refund(BILLER, "ws_1", "into debt", 35, "debt")


async def test_a_lost_ledger_is_as_it_was(store: Store, clock: ManualClock) -> None:
    """From nothing; once more it changes nothing."""
    lost = MemoryStore(clock)
    async with changing(lost) as tx:
        await tx.workspaces.insert(a_workspace())
    await live(lost, clock)
    exported = await export(lost)
    restoring = Restoring(Books(store, Unfenced()))

    _, first = await restoring.restore(operator(RESTORE), [], ledgers={"ws_1": exported})
    _, again = await restoring.restore(operator(RESTORE), [], ledgers={"ws_1": exported})

    assert (first.ledgers, again.ledgers) == (Reentered(10), Reentered(0, 10))
    assert await export(store) == exported
    async with reading(lost) as before, reading(store) as after:
        accounts = [(await tx.ledger.accounts(["ws_1"]))["ws_1"] for tx in (before, after)]
        assert accounts[0] == accounts[1]
        assert accounts[0][0] == Account(exported[-1].entry.balance)
        for number in range(1, 11):
            drawn = [
                sorted(
                    (grant.terms, amount) for grant, amount in await tx.ledger.drawn("ws_1", number)
                )
                for tx in (before, after)
            ]
            assert drawn[0] == drawn[1]
    proof = await ReadingLedger(Books(store, Unfenced())).prove(BILLER, "ws_1")
    assert proof.faults == ()
