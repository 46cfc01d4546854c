"""When the authority is asked, what is said again, and what an answer counts for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from keyauthority.client import OutOfCredits, Spending, SpendingUnavailable
from keyauthority.client.spending.line import Waiter
from keyauthority.client.spending.pace import Pace
from keyauthority.escrow.slices import Account
from keyauthority.v1 import spending_service_pb2 as pb
from tests.client.parts import until
from tests.client.spender.authority import SpendingAuthority, settled
from tests.client.spender.parts import KEY, USE, Door, hold, outcomes, spending
from tests.client.spending.parts import hold as hold_in
from tests.client.spending.parts import opened


async def test_a_busy_workspace_needs_few_calls(authority: SpendingAuthority, folder: Path) -> None:
    """At most 5 for 1,000 requests."""
    ledger = authority.credit("ws_1", 10**9)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 100_000)).void()
        before = len(authority.calls)
        for _ in range(40):
            admitted = [spender.take(KEY, 100, USE) or await hold(spender, 100) for _ in range(100)]
            await asyncio.sleep(0.02)
            for one in admitted:
                one.charge(60)
        await until(lambda: len(ledger.entries) == 4_000)
        assert len(authority.calls) - before <= 20
    assert ledger.account.balance == 10**9 - 4_000 * 60
    assert (ledger.over, ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0, 0)


async def test_more_is_asked_for_before_anybody_waits(
    authority: SpendingAuthority, folder: Path
) -> None:
    authority.credit("ws_1", 10**9)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 1_000)).void()
        await until(lambda: spender.counters.holds == 0)
        calls = len(authority.calls)
        one = spender.take(KEY, 1_000, USE)
        assert one is not None
        await until(lambda: len(authority.calls) > calls)
        await until(lambda: spender.free >= 1_000)
        one.void()


async def test_lost_answers_change_nothing(authority: SpendingAuthority, folder: Path) -> None:
    """The call is repeated unchanged: nothing is granted or charged twice."""
    ledger = authority.credit("ws_1", 5_000)
    authority.lose = lambda _: len(authority.calls) % 3 != 0
    async with spending(authority.address, folder) as spender:
        for _ in range(10):
            for one in [await hold(spender, 10) for _ in range(10)]:
                one.charge(7)
        authority.lose = lambda _: False
        await until(lambda: len(ledger.entries) == 100)
    assert ledger.account.balance == 5_000 - 700
    assert (ledger.over, ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0, 0)


async def test_calls_that_arrive_twice_change_nothing(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Late, and in any order, as a network may bring them."""
    ledger = authority.credit("ws_1", 5_000)

    async def again(request: pb.SettleRequest) -> None:
        for earlier in authority.calls[-4:]:
            authority.apply(earlier)

    authority.before = again
    async with spending(authority.address, folder) as spender:
        for _ in range(20):
            for one in await outcomes(hold(spender, 10) for _ in range(10)):
                assert isinstance(one, Spending)
                one.charge(7)
    assert ledger.account.balance == 5_000 - 1_400
    assert (ledger.over, ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0, 0)


async def test_no_word_is_no_refusal(authority: SpendingAuthority, folder: Path) -> None:
    """The authority is away for a while: nothing new is let through, and no charge is lost."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder, timeout=0.3) as spender:
        admitted = [await hold(spender, 20) for _ in range(5)]
        authority.away = True
        with pytest.raises(SpendingUnavailable):
            await hold(spender, 20)
        for one in admitted:
            one.charge(20)
        await until(lambda: spender.counters.holds == 0)
        with pytest.raises(SpendingUnavailable):
            await hold(spender, 20)
        assert spender.spooled.charges == 5
        authority.away = False
        await until(lambda: len(ledger.entries) == 5)
        await until(lambda: spender.spooled.charges == 0)
        with pytest.raises(OutOfCredits):
            await hold(spender, 20)
    assert ledger.account.balance == 0


async def test_a_refusal_is_for_those_who_came_before_the_call(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Whoever came after it was sent may come after a top-up, and asks again."""
    authority.credit("ws_1", 0)
    async with spending(authority.address, folder) as spender:
        door = Door()
        authority.late = door
        first = asyncio.ensure_future(hold(spender, 10))
        await door.reached.wait()
        authority.credit("ws_1", 10)
        second = asyncio.ensure_future(hold(spender, 10))
        await asyncio.sleep(0)
        authority.late = None
        door.open.set()
        with pytest.raises(OutOfCredits):
            await first
        (await second).void()


async def test_a_refusal_that_was_lost_is_for_no_later_request(
    authority: SpendingAuthority, folder: Path
) -> None:
    """The call is repeated, and so is its answer, which is older than the top-up."""
    authority.credit("ws_1", 0)
    authority.lose = lambda _: True
    async with spending(authority.address, folder) as spender:
        first = asyncio.ensure_future(hold(spender, 10))
        await until(lambda: len(authority.calls) >= 1)
        authority.credit("ws_1", 10)
        second = asyncio.ensure_future(hold(spender, 10))
        await asyncio.sleep(0)
        authority.lose = lambda _: False
        with pytest.raises(OutOfCredits):
            await first
        (await second).void()


async def test_a_session_that_is_over_is_granted_nothing(
    authority: SpendingAuthority, folder: Path
) -> None:
    """That is no refusal. The next session has slices of its own, and the charges are entered."""
    authority.lease = 0.5
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder, timeout=0.3) as spender:
        one = await hold(spender, 10)
        session = spender._verifier.session_id
        authority.over_sessions.add(session)
        with pytest.raises(SpendingUnavailable):
            await hold(spender, 60)
        assert spender.take(KEY, 1, USE) is None
        one.charge(10)
        # The verifier hears of it, too, and joins anew.
        authority.sync_fails = grpc.StatusCode.NOT_FOUND
        await until(lambda: spender._verifier.session_id == "")
        authority.sync_fails = None
        await until(lambda: spender._verifier.session_id not in {"", session})
        (await hold(spender, 60)).void()
        await until(lambda: len(ledger.entries) == 1)
    assert ledger.account.balance == 90
    assert ledger.account.escrowed == 0


async def test_a_newer_epoch_is_told_every_charge_again(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Confirmed, open and waiting ones: the restored ledger may have lost each of them."""
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        for _ in range(5):
            (await hold(spender, 10)).charge(10)
        await until(lambda: len(ledger.entries) == 5)
        running = await hold(spender, 10)
        await authority.restore({"ws_1": 1_000})
        ledger = authority.ledgers["ws_1"]
        await until(lambda: len(ledger.entries) == 5)
        assert spender.free == 0
        running.charge(10)
        (await hold(spender, 10)).charge(10)
        await until(lambda: len(ledger.entries) == 7)
        await until(lambda: spender.spooled.charges == 0)
    assert ledger.account.balance == 1_000 - 70
    assert ledger.account.escrowed == 0


async def test_an_epoch_that_the_call_tells_first_counts(
    authority: SpendingAuthority, folder: Path
) -> None:
    """The slices are void before Sync says so, and what was confirmed is brought again."""
    authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 100)).charge(10)
        await until(lambda: spender.spooled.charges == 0 and spender.counters.holds == 0)
        authority.epoch = 2
        authority.ledgers.clear()
        ledger = authority.credit("ws_1", 1_000)
        one = spender.take(KEY, 5, USE)
        assert one is not None
        one.charge(5)
        await until(lambda: len(ledger.entries) == 2)
        assert spender.take(KEY, 1, USE) is None
        await authority.change()
        (await hold(spender, 10)).void()
    assert ledger.account.balance == 1_000 - 15


async def test_a_charge_that_cannot_be_entered_stops_no_replay(
    authority: SpendingAuthority, folder: Path
) -> None:
    """The segments after it come too, spools are adopted, and it is entered once that is possible."""
    ledger = authority.credit("ws_1", 1_000)
    pace = Pace(adopts=0.1, retries=0.2, segment_bytes=2_000)
    async with spending(authority.address, folder, pace=pace) as spender:
        for _ in range(40):
            (await hold(spender, 10)).charge(5)
        await until(lambda: len(ledger.entries) == 40 and spender.spooled.charges == 0)
        authority.unknown = {min(ledger.entries)}
        await authority.restore({"ws_1": 1_000})
        ledger = authority.ledgers["ws_1"]
        await until(lambda: len(ledger.entries) == 39 and spender.spooled.charges == 1)
        async with opened(folder) as dead:
            hold_in(dead, "of_the_dead", {})
        await until(lambda: "of_the_dead" in ledger.entries)
        authority.unknown.clear()
        await until(lambda: len(ledger.entries) == 41)
        await until(lambda: spender.spooled.charges == 0)
    assert ledger.charged == 200


async def test_a_charge_that_cannot_be_entered_stays_in_the_spool(
    authority: SpendingAuthority, folder: Path
) -> None:
    """It stops no other, and is brought again now and then: by its cost alone, as its hold went back."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder, pace=Pace(adopts=0.1, retries=0.2)) as spender:
        refused = await hold(spender, 10)
        authority.unknown.add(refused.reference)
        refused.charge(10)
        (await hold(spender, 10)).charge(10)
        await until(lambda: len(ledger.entries) == 1 and spender.spooled.charges == 1)
        await until(lambda: spender.counters.refused_charges >= 2)
        running = await hold(spender, 30)
        authority.unknown.clear()
        await until(lambda: len(ledger.entries) == 2)
        await until(lambda: spender.spooled.charges == 0)
        assert ledger.account.escrowed >= spender.free + running.amount
        running.void()
    brought = [
        len(one.holds)
        for call in authority.calls
        for one in call.charges
        if one.reference == refused.reference
    ]
    assert brought[0] == 1
    assert not any(brought[1:])
    assert ledger.account.balance == 80
    assert (ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0)


async def test_a_charge_that_is_invalid_stops_no_other(
    authority: SpendingAuthority, folder: Path
) -> None:
    """As one from a spool of another version may be."""
    ledger = authority.credit("ws_1", 1_000)
    authority.invalid = "bad"
    async with spending(authority.address, folder) as spender:
        bad = await spender.hold(KEY, 10, type(USE)("bad", "/", "r"))
        good = [await hold(spender, 10) for _ in range(9)]
        for one in (bad, *good):
            one.charge(10)
        await until(lambda: len(ledger.entries) == 9)
        (await hold(spender, 10)).void()
        await until(lambda: spender.spooled.charges == 1)


async def test_charges_that_are_too_many_come_later(
    authority: SpendingAuthority, folder: Path
) -> None:
    """They stay in the spool, after the spender's end too. Who waits with them gets no false refusal."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder, timeout=0.5) as spender:
        one, another = await hold(spender, 10), await hold(spender, 10)
        authority.too_many = True
        one.charge(7)
        await until(lambda: spender.counters.holds == 1)
        with pytest.raises(SpendingUnavailable):
            await hold(spender, 90)
        authority.too_many = False
        await until(lambda: len(ledger.entries) == 1)
        await until(lambda: spender.spooled.charges == 0)
        authority.too_many = True
        another.charge(8)
        await until(lambda: spender.counters.failed_calls > 1)
    assert len(ledger.entries) == 1
    authority.too_many = False
    async with spending(authority.address, folder):
        await until(lambda: len(ledger.entries) == 2)
        await until(settled(ledger))
    assert (ledger.charged, ledger.account) == (15, Account(85))


async def test_many_charges_are_brought_before_more_is_asked_for(
    authority: SpendingAuthority, folder: Path
) -> None:
    """A call has to bring all that it counts in, and no call brings more than 500."""
    ledger = authority.credit("ws_1", 2_000)
    async with spending(authority.address, folder) as spender:
        admitted = await outcomes(hold(spender, 1) for _ in range(1_700))
        authority.away = True
        for one in admitted:
            assert isinstance(one, Spending)
            one.charge(1)
        await until(lambda: spender.counters.holds == 0)
        authority.away = False
        (await hold(spender, 250)).void()
        await until(lambda: len(ledger.entries) == 1_700)
    assert max(len(one.charges) for one in authority.calls) <= 500
    assert (ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0)


async def test_calls_that_were_slow_together_lengthen_the_deadline_once(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Each says the same: that one deadline was too short."""
    authority.before = Door()
    async with spending(authority.address, folder, timeout=0.4) as spender:
        keys = [replace(KEY, workspace_id=f"ws_{number}") for number in range(5)]
        for key in keys:
            workspace = spender._accounts.of(key.workspace_id)
            waiter = Waiter(10, 1, 0.0, asyncio.get_running_loop().create_future())
            workspace.line.join(waiter)
            spender._settling.prompt(workspace)
            await asyncio.sleep(0.01)
        await until(lambda: spender.counters.failed_calls == 5)
        assert spender._calling._timeout == 0.8
