"""Charges, closings and slices of verifiers, on every store."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from keyauthority.domain.credits.charging import ChargeState, check
from keyauthority.domain.credits.crediting import Crediting
from keyauthority.domain.credits.entering import read_sheets
from keyauthority.domain.credits.refunding import Refunding
from keyauthority.domain.credits.releasing import Releasing
from keyauthority.domain.credits.spending import Closing
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.keys import UNKNOWN, RevocationReason
from keyauthority.domain.ledger import EntryFilter, Kind, Use
from keyauthority.domain.ports import Store
from keyauthority.domain.slices import MOST_SLICES, OwnedSlice
from keyauthority.escrow.slices import Account, Slice, SliceClosing, Word
from keyauthority.pricing.amounts import LARGEST_AMOUNT, LARGEST_BALANCE
from tests.conformance.records import SECOND, START, ManualClock, a_key, a_workspace
from tests.conformance.spending import BILLER, Ledgers, Verifier
from tests.transactions import changing, reading

GRANTED, OUT, BUSY, PASSED = Word.GRANTED, Word.OUT, Word.BUSY, Word.PASSED
CREDITS = "ws_1/credits"


@pytest.fixture
async def ledgers(store: Store) -> Ledgers:
    """`ws_1` with 100 nano-credits and a key, and `ws_2` with nothing and a key."""
    ledgers = Ledgers(store)
    await ledgers.begin("ws_1", "ws_2")
    await ledgers.top_up(100)
    return ledgers


@pytest.fixture
async def verifier(ledgers: Ledgers) -> Verifier:
    return await ledgers.verifier()


async def slices(ledgers: Ledgers, verifier: Verifier, workspace_id: str = "ws_1") -> list[Slice]:
    async with reading(ledgers.store) as tx:
        there = await tx.slices.of_sessions({(workspace_id, verifier.session_id)})
    return [one.slice for one in there]


# --- slices


async def test_a_slice_leaves_what_is_available(ledgers: Ledgers, verifier: Verifier) -> None:
    """Half of it at most, but for a request that waits."""
    assert await verifier.ask(90) == (GRANTED, 50)
    assert await ledgers.account() == Account(100, escrowed=50)
    assert await verifier.ask(90, 40, keep=50, sequence=2) == (GRANTED, 40)
    assert await ledgers.account() == Account(100, escrowed=90)


async def test_sharers_get_less(ledgers: Ledgers, verifier: Verifier) -> None:
    other = await ledgers.verifier("caller_2")
    assert await other.ask(20) == (GRANTED, 20)

    assert await verifier.ask(90) == (GRANTED, 80 // (2 * 2))


async def test_what_is_not_kept_goes_back(ledgers: Ledgers, verifier: Verifier) -> None:
    """And a slice never grows by what is kept."""
    await verifier.ask(40)
    await verifier.say(verifier.asking(0, keep=10, sequence=2))
    assert await ledgers.account() == Account(100, escrowed=10)
    await verifier.say(verifier.asking(0, keep=90, sequence=3))
    assert await ledgers.account() == Account(100, escrowed=10)


async def test_a_repeat_is_answered_as_the_first(ledgers: Ledgers, verifier: Verifier) -> None:
    """Its answer was lost: nothing is granted again, and what was asked before is past."""
    assert await verifier.ask(40) == await verifier.ask(40) == (GRANTED, 40)
    await verifier.ask(0, keep=40, sequence=2)
    assert await verifier.ask(40) == (PASSED, 0)
    assert await ledgers.account() == Account(100, escrowed=40)


async def test_without_credits(ledgers: Ledgers, verifier: Verifier) -> None:
    """Nothing there, nothing free, or no such workspace, perhaps since a restore: not the same."""
    assert await verifier.ask(5, 5, workspace_id="ws_2") == (OUT, 0)
    assert await verifier.ask(5, 5, workspace_id="ws_3") == (PASSED, 0)
    other = await ledgers.verifier("caller_2")
    await other.ask(100, 100)
    assert await verifier.ask(5, 5) == (BUSY, 0)


async def test_a_higher_number_closes_the_lower(ledgers: Ledgers, verifier: Verifier) -> None:
    """What is held of it stays; empty, it is forgotten."""
    await verifier.ask(30)
    await verifier.ask(20, number=2)
    assert [(one.amount, one.closed) for one in await slices(ledgers, verifier)] == [
        (30, True),
        (20, False),
    ]
    assert await verifier.ask(9, sequence=2) == (PASSED, 0)
    await verifier.close(0, 1)
    assert [one.number for one in await slices(ledgers, verifier)] == [2]
    assert await ledgers.account() == Account(100, escrowed=20)


async def test_a_closed_slice_gets_nothing_more(ledgers: Ledgers, verifier: Verifier) -> None:
    """The highest number stays in the books, empty as it is: a call that comes late finds it."""
    await verifier.ask(30)
    await verifier.close(10)
    assert await ledgers.account() == Account(100, escrowed=10)
    await verifier.close(0)
    await verifier.close(50)
    assert await ledgers.account() == Account(100)
    assert await verifier.ask(30, sequence=2) == (PASSED, 0)
    assert len(await slices(ledgers, verifier)) == 1


async def test_a_closing_may_come_before_the_first_call(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """Then the call grants nothing."""
    await verifier.close(0, 1)
    assert await verifier.ask(30) == (PASSED, 0)
    assert await verifier.ask(30, number=2) == (GRANTED, 30)
    assert [one.number for one in await slices(ledgers, verifier)] == [2]


async def test_closings_without_a_first_call_leave_only_the_last(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """What no call has begun is forgotten as well, once a higher number is there."""
    for number in (1, 2, 3):
        await verifier.close(0, number)

    assert [one.number for one in await slices(ledgers, verifier)] == [3]


async def test_all_of_one_call_is_in_order(ledgers: Ledgers, verifier: Verifier) -> None:
    """Charges, closings, slices: what comes back is granted again by the same call."""
    await verifier.ask(100, 100)

    answer = await verifier.say(
        verifier.asking(90, 90, number=2),
        verifier.close_of(10),
        verifier.charging(10, 20),
    )

    assert answer.charges == [ChargeState.ENTERED]
    assert answer.slices == [(GRANTED, 80)]
    assert await ledgers.account() == Account(90, escrowed=90)


async def test_slices_of_a_session_are_limited(ledgers: Ledgers, verifier: Verifier) -> None:
    """Of one session in one workspace; the latest is still served."""
    async with changing(ledgers.store) as tx:
        numbers = range(1, MOST_SLICES + 1)
        held = [Slice(number, 1, closed=number < MOST_SLICES) for number in numbers]
        owner = "ws_1", verifier.session_id, "caller_1"
        await tx.slices.put([OwnedSlice(*owner, one) for one in held])

    assert await verifier.ask(9, number=MOST_SLICES + 1) == (BUSY, 0)
    await verifier.close(0, MOST_SLICES + 1)
    assert await verifier.ask(9, number=MOST_SLICES) == (GRANTED, 9)
    assert len(await slices(ledgers, verifier)) == MOST_SLICES


# --- charges


async def test_a_charge_is_entered_once(ledgers: Ledgers, verifier: Verifier) -> None:
    """Whole, and by whom; it lowers balance and slice."""
    await verifier.ask(40)
    one = verifier.charging(7, 10)
    counts = {"input": 3, "output": 2**40}
    session_id = verifier.session_id
    use = Use("key of ws_1", "gpt-5", "/v1/x", "req", counts, "p", 10, True, 200, session_id)
    one = replace(one, use=use)

    assert (await verifier.say(one)).charges == [ChargeState.ENTERED]
    assert (await verifier.say(one)).charges == [ChargeState.KNOWN]

    assert await ledgers.account() == Account(93, escrowed=33)
    async with reading(ledgers.store) as tx:
        [entry, _], _ = await tx.ledger.page(EntryFilter("ws_1"), 9, None)
    assert (entry.kind, entry.amount, entry.reference, entry.use) == (Kind.CHARGE, -7, "r", use)
    assert (entry.caller_id, entry.caller_name) == ("caller_1", "name of caller_1")
    assert ledgers.counts.differing == 0


async def test_the_first_body_counts(ledgers: Ledgers, verifier: Verifier) -> None:
    """In one call, too; whoever sends another is counted."""
    first, second = verifier.charging(7), verifier.charging(70)
    answer = await verifier.say(first, second, first)
    assert answer.charges == [ChargeState.ENTERED, ChargeState.KNOWN, ChargeState.KNOWN]
    await verifier.say(second)

    assert await ledgers.account() == Account(93)
    assert ledgers.counts.differing == 2
    assert ledgers.counts.charges == {ChargeState.ENTERED: 1, ChargeState.KNOWN: 3}


async def test_what_was_held_may_be_forgotten(ledgers: Ledgers, verifier: Verifier) -> None:
    """Whoever brings a charge again from a spool says nothing else."""
    await verifier.ask(40)
    one = verifier.charging(7, 10)
    await verifier.say(one)
    use = replace(one.use, held=0, session_id="")
    await verifier.say(replace(one, parts=[], use=use))
    assert ledgers.counts.differing == 0
    await verifier.say(replace(one, parts=[], use=replace(use, model="gpt-4")))
    assert ledgers.counts.differing == 1


async def test_a_reference_may_be_that_of_no_charge(ledgers: Ledgers, verifier: Verifier) -> None:
    """Then the charge is not in the ledger, and whoever brings it must not take it for known."""
    async with reading(ledgers.store) as tx:
        [granted], _ = await tx.ledger.page(EntryFilter("ws_1"), 9, None)

    assert await verifier.charge(7, name=granted.reference) is ChargeState.REFERENCE_REUSED
    assert await ledgers.account() == Account(100)


async def test_the_session_of_a_charge_is_the_callers(ledgers: Ledgers, verifier: Verifier) -> None:
    """That of a slice of its own, else that of the call; not what the charge says."""
    other = await ledgers.verifier("caller_2")
    await verifier.ask(40)
    await other.ask(10)
    heir = await ledgers.verifier()
    parts = [((other.session_id, 1), 1), ((verifier.session_id, 1), 1)]
    await heir.say(replace(heir.charging(1, name="a slice"), parts=parts))
    await heir.say(replace(heir.charging(1, name="no slice"), parts=parts[:1]))
    await heir.say(heir.charging(1, name="nobody's"), session_id=other.session_id)
    await heir.say(heir.charging(1, name="no session"), session_id="")

    async with reading(ledgers.store) as tx:
        entries, _ = await tx.ledger.page(EntryFilter("ws_1", Kind.CHARGE), 9, None)
    assert {entry.reference: entry.use.session_id for entry in entries} == {
        "a slice": verifier.session_id,
        "no slice": heir.session_id,
        "nobody's": "",
        "no session": "",
    }


async def test_a_charge_is_for_a_key_of_the_workspace(ledgers: Ledgers, verifier: Verifier) -> None:
    """Of no other; no charge makes another fail."""
    wrong = [
        verifier.charging(1, key_id="key of ws_2"),
        verifier.charging(1, key_id=""),
        verifier.charging(1, workspace_id="ws_3"),
        verifier.charging(1, workspace_id="ws_3", key_id="key of ws_1"),
    ]
    answer = await verifier.say(*wrong, verifier.charging(1))

    assert answer.charges == [*[ChargeState.UNKNOWN_KEY] * 4, ChargeState.ENTERED]
    assert await ledgers.account() == Account(99)


async def test_what_a_revoked_key_used_is_charged(ledgers: Ledgers, verifier: Verifier) -> None:
    async with changing(ledgers.store) as tx:
        key = a_key("key of ws_1")
        revoked = key.revoked(START, RevocationReason.UNSPECIFIED, "", UNKNOWN)
        await tx.keys.update([(key, revoked)])

    assert await verifier.charge(3) is ChargeState.ENTERED


async def test_a_charge_takes_no_more_of_a_slice_than_was_held(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """The rest of the slice belongs to other holds."""
    await verifier.ask(40)
    await verifier.charge(30, 10)

    assert await ledgers.account() == Account(70, escrowed=30)
    assert (ledgers.counts.over, ledgers.counts.late, ledgers.counts.cut) == (20, 0, 0)


async def test_a_charge_may_have_parts_of_several_slices(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """The oldest first."""
    await verifier.ask(10)
    await verifier.ask(30, number=2)
    one = verifier.charging(15, 10)
    parts = [*one.parts, ((verifier.session_id, 2), 10)]

    await verifier.say(replace(one, parts=parts))

    assert await ledgers.account() == Account(85, escrowed=25)
    assert [(one.number, one.amount) for one in await slices(ledgers, verifier)] == [(2, 25)]


async def test_a_hold_that_its_slice_lacks_is_counted(ledgers: Ledgers, verifier: Verifier) -> None:
    """By an honest verifier it never happens; the slice never falls below zero."""
    await verifier.ask(10)
    await verifier.charge(30, 30)

    assert await ledgers.account() == Account(70)
    assert (ledgers.counts.short, ledgers.counts.over) == (20, 0)


async def test_a_charge_that_costs_nothing_is_entered(ledgers: Ledgers, verifier: Verifier) -> None:
    assert await verifier.charge(0, estimated=True) is ChargeState.ENTERED
    assert await ledgers.account() == Account(100)
    assert ledgers.counts.estimated == 1


async def test_a_charge_without_a_hold_beyond_what_is_available(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """Verifiers hear of it: what stands in slices is no longer all there."""
    await verifier.ask(60, 60)
    before = await ledgers.revision()
    await verifier.charge(40, name="within")
    assert await ledgers.revision() == before
    await verifier.charge(30, name="beyond")

    assert await ledgers.announced(before) == [CREDITS]
    assert ledgers.counts.cut == 30
    assert await ledgers.account() == Account(30, escrowed=60)
    assert await verifier.ask(9, number=2) == (BUSY, 0)


async def test_what_is_taken_beyond_what_is_available_is_counted(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """By adjustments, and by what goes back to a buyer, too; once, however often it is said."""
    await verifier.ask(60, 60)
    crediting = Crediting(ledgers.books, ledgers.counts)
    await crediting.adjust(BILLER, "ws_1", -30, "too many", "a")
    assert ledgers.counts.cut == 0
    for _ in range(2):
        await crediting.adjust(BILLER, "ws_1", -30, "too many", "b")
    assert ledgers.counts.cut == 20
    async with reading(ledgers.store) as tx:
        [granted], _ = await tx.ledger.page(EntryFilter("ws_1", Kind.GRANT), 9, None)
    refunding = Refunding(ledgers.books, ledgers.counts)
    await refunding.refund(BILLER, "ws_1", granted.reference, 5)
    assert ledgers.counts.cut == 25


async def test_a_balance_has_bounds(ledgers: Ledgers, verifier: Verifier) -> None:
    """What would go beyond is not entered, and makes nothing else fail."""
    most = LARGEST_AMOUNT
    whole = [verifier.charging(most, name=str(number)) for number in range(48)]
    answer = await verifier.say(*whole, verifier.charging(0, name="last"))

    entered = answer.charges.count(ChargeState.ENTERED)
    assert answer.charges.count(ChargeState.OUT_OF_RANGE) == 49 - entered
    assert answer.charges[-1] is ChargeState.ENTERED
    assert -LARGEST_BALANCE <= (await ledgers.account()).balance < most - LARGEST_BALANCE


# --- whose it is


async def test_a_session_that_is_over_is_granted_nothing(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """Its charges and closings count."""
    await verifier.ask(40)
    await verifier.leave()

    answer = await verifier.say(
        verifier.asking(9, 9, number=2), verifier.charging(3, 10), verifier.close_of(5)
    )

    assert answer.session_over
    assert answer.slices == [(PASSED, 0)]
    assert answer.charges == [ChargeState.ENTERED]
    assert await ledgers.account() == Account(97, escrowed=5)
    assert not (await verifier.say(session_id="")).session_over


async def test_another_callers_session_is_over_to_me(ledgers: Ledgers, verifier: Verifier) -> None:
    """It is neither spent from, nor closed, nor lowered by a charge."""
    await verifier.ask(40)
    thief = await ledgers.verifier("caller_2")

    answer = await thief.say(
        verifier.asking(50, 50, sequence=2),
        verifier.close_of(0),
        verifier.close_of(0, number=7),
        verifier.charging(10, 10),
        session_id=verifier.session_id,
    )

    assert (answer.session_over, answer.slices) == (True, [(PASSED, 0)])
    assert await ledgers.account() == Account(90, escrowed=40)
    assert ledgers.counts.late == 10
    assert [one.closed for one in await slices(ledgers, verifier)] == [False]


async def test_another_session_of_mine_may_be_closed(ledgers: Ledgers, verifier: Verifier) -> None:
    """By whoever has its spool."""
    await verifier.ask(40)
    heir = await ledgers.verifier()

    await heir.say(verifier.charging(10, 20), verifier.close_of(0))

    assert await ledgers.account() == Account(90)


async def test_a_slice_is_of_one_workspace(ledgers: Ledgers, verifier: Verifier) -> None:
    """Its number in another names nothing."""
    await ledgers.top_up(10, "ws_2")
    await verifier.ask(40)

    await verifier.charge(5, 5, workspace_id="ws_2")
    await verifier.close(0, workspace_id="ws_2", number=1)

    assert await ledgers.account() == Account(100, escrowed=40)
    assert await ledgers.account("ws_2") == Account(5)
    assert ledgers.counts.late == 5


# --- recalls


async def test_credits_are_recalled(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """Whenever somebody needs what others have; once a second at most."""
    other = await ledgers.verifier("caller_2")
    await other.ask(90, 90)
    before = await ledgers.revision()

    assert await verifier.ask(20, 20) == (GRANTED, 10)
    assert await verifier.ask(20, 20, keep=10, sequence=2) == (BUSY, 0)
    assert await ledgers.announced(before) == [CREDITS]
    clock.time += SECOND
    assert await verifier.ask(20, 20, keep=10, sequence=3) == (BUSY, 0)
    assert await verifier.ask(20, 20, keep=10, sequence=3) == (BUSY, 0)
    assert await ledgers.announced(before) == [CREDITS, CREDITS]
    assert ledgers.counts.recalls == 2


async def test_nothing_is_recalled_that_nobody_has(ledgers: Ledgers, verifier: Verifier) -> None:
    """What one's own slice has, or what is held of a closed one, comes back by itself."""
    other = await ledgers.verifier("caller_2")
    await other.ask(40)
    await other.close(40)
    await verifier.ask(60, 60)

    assert await verifier.ask(9, 9, keep=60, sequence=2) == (BUSY, 0)
    assert await ledgers.revision() == 0


# --- expiry


async def test_what_comes_back_expires_before_it_is_granted(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """Whether a closing brings it back, or a call that keeps less."""
    await ledgers.top_up(10, "ws_2", expire_time=START + SECOND)
    asking: dict[str, Any] = {"workspace_id": "ws_2"}
    assert await verifier.ask(10, 10, **asking) == (GRANTED, 10)
    clock.time += SECOND
    before = await ledgers.revision()

    assert await verifier.ask(9, 9, keep=6, sequence=2, **asking) == (BUSY, 0)
    assert await ledgers.account("ws_2") == Account(6, escrowed=6)
    await verifier.close(2, **asking)
    assert await ledgers.account("ws_2") == Account(2, escrowed=2)
    assert await ledgers.announced(before) == []
    assert await verifier.charge(2, 2, **asking) is ChargeState.ENTERED
    assert await ledgers.account("ws_2") == Account(0)


async def test_what_others_have_of_what_is_due_is_recalled(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """By the first return after its time, and once a second at most; not if nobody has any."""
    await ledgers.top_up(100, "ws_2", expire_time=START + SECOND)
    other = await ledgers.verifier("caller_2")
    asking: dict[str, Any] = {"workspace_id": "ws_2"}
    await verifier.ask(50, 50, **asking)
    await other.ask(50, 50, **asking)
    clock.time += SECOND
    before = await ledgers.revision()

    for sequence in range(2, 12):
        await verifier.ask(0, keep=50 - 4 * sequence, sequence=sequence, **asking)
    assert await ledgers.announced(before) == ["ws_2/credits"]
    assert ledgers.counts.recalls == 1
    await other.say(Closing("ws_2", other.session_id, SliceClosing(1, 20)))
    clock.time += SECOND
    await verifier.ask(0, sequence=12, **asking)
    assert await ledgers.announced(before) == ["ws_2/credits"]
    assert await ledgers.account("ws_2") == Account(20, escrowed=20)


async def test_credits_expire_in_a_round(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """What verifiers have of them is recalled; where nothing expires, nobody hears of anything."""
    for workspace_id in ("ws_1", "ws_2"):
        await ledgers.top_up(10, workspace_id, expire_time=START + SECOND)
    await verifier.ask(4, 4, workspace_id="ws_2")
    clock.time += SECOND
    crediting, before = Crediting(ledgers.books), await ledgers.revision()

    for _ in range(3):
        for workspace_id in ("ws_1", "ws_2"):
            await crediting.expire(workspace_id)

    assert await ledgers.announced(before) == ["ws_2/credits"]
    assert await ledgers.account() == Account(100)
    assert await ledgers.account("ws_2") == Account(4, escrowed=4)


async def test_what_is_due_is_not_granted(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    await ledgers.top_up(10, "ws_2", expire_time=START + SECOND)
    clock.time += SECOND

    assert await verifier.ask(9, 9, workspace_id="ws_2") == (OUT, 0)


async def test_what_is_due_pays_for_nothing(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """It has expired before a charge, which others of the grants pay."""
    await ledgers.top_up(10, "ws_2", expire_time=START + SECOND)
    await ledgers.top_up(10, "ws_2")
    clock.time += SECOND

    await verifier.charge(4, workspace_id="ws_2")

    assert await ledgers.account("ws_2") == Account(6)


# --- after a session


async def test_what_a_dead_verifier_left_goes_back(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """After the longest request and the longest lease; till then it stays for what was held."""
    living = await ledgers.verifier()
    await living.ask(10)
    await verifier.ask(40, 40)
    await ledgers.round()
    await verifier.leave()
    await ledgers.round()
    clock.time += timedelta(minutes=10)
    await ledgers.round()
    assert await ledgers.account() == Account(100, escrowed=50)

    assert await living.charge(5, 10, session_id=verifier.session_id) is ChargeState.ENTERED
    assert await ledgers.account() == Account(95, escrowed=45)
    clock.time += timedelta(minutes=1)
    await ledgers.round()

    assert await ledgers.account() == Account(95, escrowed=10)
    assert await slices(ledgers, verifier) == []
    assert len(await slices(ledgers, living)) == 1
    assert await ledgers.revision() == 0


async def test_a_charge_may_come_after_its_slice_went_back(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    """It is charged all the same, and counted; a late closing, or call, brings nothing back."""
    await verifier.ask(40)
    await verifier.leave()
    await ledgers.round()
    clock.time += timedelta(minutes=11)
    await ledgers.round()

    answer = await verifier.say(
        verifier.charging(30, 35), verifier.close_of(5), verifier.asking(5, sequence=2)
    )

    assert (answer.charges, answer.slices) == ([ChargeState.ENTERED], [(PASSED, 0)])
    assert await ledgers.account() == Account(70)
    assert ledgers.counts.late == 30
    assert await slices(ledgers, verifier) == []


async def test_what_goes_back_expires(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    await ledgers.top_up(10, "ws_2", expire_time=START + SECOND)
    await verifier.ask(10, 10, workspace_id="ws_2")
    await verifier.leave()
    await ledgers.round()
    clock.time += timedelta(minutes=11)
    await ledgers.round()

    assert await ledgers.account("ws_2") == Account(0)
    assert await ledgers.announced(0) == []


async def test_two_processes_may_give_back_at_once(
    ledgers: Ledgers, verifier: Verifier, clock: ManualClock
) -> None:
    await verifier.ask(40)
    await verifier.leave()
    await asyncio.gather(*(ledgers.round() for _ in range(4)))
    clock.time += timedelta(minutes=11)
    await asyncio.gather(*(ledgers.round() for _ in range(4)))

    assert await ledgers.account() == Account(100)


async def test_a_session_that_was_found_over_meanwhile(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """Between the look at its session and the call's transaction: it is granted nothing more."""
    await verifier.ask(40)
    async with changing(ledgers.store) as tx:
        await tx.slices.set_aside([verifier.session_id], START + SECOND)

    answer = await verifier.say(verifier.asking(9, keep=40, sequence=2))

    assert answer.session_over
    assert await ledgers.account() == Account(100, escrowed=40)


# --- many at once


async def test_many_spend_at_once(ledgers: Ledgers) -> None:
    """Of several workspaces, named in any order: nothing is granted or charged twice, or lost."""
    await ledgers.top_up(1_000)
    await ledgers.top_up(1_000, "ws_2")
    verifiers = [await ledgers.verifier() for _ in range(8)]
    # Each process has calls of its own in the books.
    processes = [Ledgers(ledgers.store) for _ in range(3)]
    for number, verifier in enumerate(verifiers):
        verifier.process = processes[number % 3]

    async def spend(verifier: Verifier, name: int) -> None:
        order = ["ws_1", "ws_2"] if name % 2 else ["ws_2", "ws_1"]
        for sequence in range(1, 6):
            asking = [
                verifier.asking(20, 10, keep=0, sequence=sequence, workspace_id=one)
                for one in order
            ]
            charges = [
                verifier.charging(
                    3, 10, name=f"{name} {sequence}", workspace_id=one, key_id=f"key of {one}"
                )
                for one in order
            ]
            await asyncio.gather(*(verifier.say(*charges, *asking) for _ in range(2)))

    await asyncio.gather(*(spend(one, number) for number, one in enumerate(verifiers)))

    for workspace_id, amount in (("ws_1", 1_100), ("ws_2", 1_000)):
        account = await ledgers.account(workspace_id)
        assert account.balance == amount - 8 * 5 * 3
        assert account.available >= 0
    entered = sum(one.counts.charges[ChargeState.ENTERED] for one in processes)
    assert entered == 2 * 8 * 5


async def test_first_accounts_do_not_deadlock(ledgers: Ledgers) -> None:
    """Of one call that begins several, of calls that begin some of them, and of calls that find some."""
    names = [f"ws_{number}" for number in range(3, 9)]
    async with changing(ledgers.store) as tx:
        for one in names:
            await tx.workspaces.insert(a_workspace(one))

    async def begin(some: list[str]) -> None:
        async with changing(ledgers.store) as tx:
            sheets = await read_sheets(tx, some)
            await asyncio.sleep(0)
            await tx.ledger.write([sheet.to_write for sheet in sheets.values()])

    dice = random.Random(1)
    some = [dice.sample(names, dice.randint(1, 6)) for _ in range(60)]
    await asyncio.wait_for(asyncio.gather(*(begin(one) for one in some)), 30)


# --- limits


async def test_the_largest_call_is_served(ledgers: Ledgers, verifier: Verifier) -> None:
    """Of as many sessions and holds as a call may name: no statement is too long for a database."""
    parts = [[((f"s{n % 499}", n % 7 + 1), 1) for n in range(m, m + 10)] for m in range(500)]
    charges = [
        replace(verifier.charging(0, name=str(number)), parts=held)
        for number, held in enumerate(parts)
    ]

    answer = await verifier.say(*charges, verifier.close_of(0))

    assert set(answer.charges) == {ChargeState.ENTERED}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cost": -1}, "charges[0].cost_nano_credits"),
        ({"cost": LARGEST_AMOUNT + 1}, "charges[0].cost_nano_credits"),
        ({"reference": ""}, "charges[0].reference"),
        ({"reference": "a\nb"}, "charges[0].reference"),
        ({"reference": "x" * 129}, "charges[0].reference"),
        ({"workspace_id": "x" * 129}, "charges[0].workspace_id"),
        ({"workspace_id": "ws_1\0"}, "charges[0].workspace_id"),
        ({"parts": [(("s\0", 1), 0)]}, "charges[0].holds.session_id"),
        ({"use": Use(key_id="\0")}, "charges[0].key_id"),
        ({"parts": [(("s", 1), -1)]}, "charges[0].holds.nano_credits"),
        ({"parts": [(("s", 0), 1)]}, "charges[0].holds.number"),
        ({"parts": [(("s" * 129, 1), 1)]}, "charges[0].holds.session_id"),
        ({"use": Use(held=LARGEST_AMOUNT + 1)}, "charges[0].holds"),
        ({"use": Use(key_id="x" * 129)}, "charges[0].key_id"),
        ({"use": Use(model="x" * 257)}, "charges[0].model"),
        ({"use": Use(path="x" * 257)}, "charges[0].path"),
        ({"use": Use(request_id="x" * 129)}, "charges[0].request_id"),
        ({"use": Use(price_id="x" * 129)}, "charges[0].price_id"),
        ({"use": Use(counts={"input": -1})}, "charges[0].counts"),
        ({"use": Use(counts={"": 1})}, "charges[0].counts"),
        ({"use": Use(counts={"x" * 33: 1})}, "charges[0].counts"),
        ({"use": Use(counts={str(n): 1 for n in range(33)})}, "charges[0].counts"),
        ({"use": Use(status=-1)}, "charges[0].status"),
        ({"use": Use(status=1_000)}, "charges[0].status"),
    ],
)
async def test_a_charge_that_breaks_a_limit(
    ledgers: Ledgers, verifier: Verifier, wrong: dict[str, Any], field: str
) -> None:
    """It is refused, and makes nothing else of its call fail."""
    one = replace(verifier.charging(1), **wrong)
    with pytest.raises(KeyAuthorityError) as caught:
        check([one])
    assert caught.value.metadata["field"] == field

    answer = await verifier.say(one, verifier.charging(2, name="s"), one, verifier.asking(9))

    assert answer.charges == [ChargeState.REFUSED, ChargeState.ENTERED, ChargeState.REFUSED]
    assert answer.slices == [(GRANTED, 9)]
    assert await ledgers.account() == Account(98, escrowed=9)
    assert ledgers.counts.charges[ChargeState.REFUSED] == 2


async def test_a_call_that_breaks_a_limit(ledgers: Ledgers, verifier: Verifier) -> None:
    charge, asking = verifier.charging(1), verifier.asking(1)
    sessions = "charges.holds.session_id"
    other = [replace(charge, parts=[(("s", 1), 0), (("t", 1), 0)])]
    for said, field in (
        ([charge] * 501, "charges"),
        ([asking] * 501, "slices"),
        ([verifier.close_of(0)] * 501, "closings"),
        ([replace(charge, parts=[(("s", 1), 0)] * 2_501)] * 2, "charges.holds"),
        ([replace(charge, parts=[((str(n), 1), 0) for n in range(501)])], sessions),
        ([Closing("ws_1", str(n), SliceClosing(1, 0)) for n in range(499)] + other, sessions),
        ([verifier.asking(LARGEST_AMOUNT + 1)], "slices.want_nano_credits"),
        ([verifier.asking(1, LARGEST_AMOUNT + 1)], "slices.need_nano_credits"),
        ([verifier.asking(1, keep=LARGEST_BALANCE + 1)], "slices.keep_nano_credits"),
        ([verifier.close_of(LARGEST_BALANCE + 1)], "closings.keep_nano_credits"),
        ([verifier.asking(1, workspace_id="x" * 129)], "slices.workspace_id"),
        ([verifier.asking(1, workspace_id="x\0")], "slices.workspace_id"),
    ):
        with pytest.raises(KeyAuthorityError) as caught:
            await verifier.say(*said)
        assert caught.value.metadata["field"] == field
    with pytest.raises(KeyAuthorityError, match="slices are of a session"):
        await verifier.say(asking, session_id="")
    assert await ledgers.account() == Account(100)


async def test_whoever_joins_meanwhile_is_not_taken_for_dead(
    ledgers: Ledgers, verifier: Verifier
) -> None:
    """A session that begins between the two looks was not there at the first."""
    await verifier.ask(10)

    class Meanwhile:
        """Lets another verifier join and be granted something, before or after each look."""

        def __init__(self) -> None:
            self.new: list[Verifier] = []

        async def joins(self) -> None:
            self.new.append(await ledgers.verifier("caller_2"))
            await self.new[-1].ask(1, 1)

        async def callers_of(self, session_ids: Any) -> dict[str, str]:
            await self.joins()
            living = await ledgers.store.sessions.callers_of(session_ids)
            await self.joins()
            return living

        async def standing(self) -> Any:
            return await ledgers.store.sessions.standing()

    meanwhile: Any = Meanwhile()
    await Releasing(ledgers.books, meanwhile).set_aside()

    async with reading(ledgers.store) as tx:
        for one in meanwhile.new:
            [slice_] = await tx.slices.of_sessions({("ws_1", one.session_id)})
            assert slice_.release_time is None
