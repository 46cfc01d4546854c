"""What is let through, refused and charged, by one spender."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from keyauthority.client import (
    AllHeld,
    OutOfCredits,
    Secret,
    Spender,
    Spending,
    SpendingUnavailable,
    SpoolError,
    Verifier,
)
from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.demand import Demand
from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.pace import Pace
from keyauthority.client.spending.records import SpooledCharge
from keyauthority.client.spending.spool import Spool
from keyauthority.client.spending.waiting import PATIENCE
from keyauthority.client.spending.workspace import BUSY_PAUSE, WorkspaceCredits
from keyauthority.domain.credits.recalls import RECALLED_EVERY
from keyauthority.escrow.purse import SliceNumbers
from tests.client.parts import leased, until
from tests.client.spender.authority import SpendingAuthority
from tests.client.spender.parts import KEY, USE, Door, hold, outcomes, spending
from tests.gateway.parts import TOKEN
from tests.observing import calls_of


async def test_a_request_is_charged_what_it_cost(
    authority: SpendingAuthority, folder: Path
) -> None:
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 100)
        one.charge(30, counts={"input": 3}, status=200)
        await until(lambda: ledger.charged == 30)
    assert ledger.account.balance == 970
    assert ledger.account.escrowed == 0
    [entry] = ledger.entries.values()
    assert (entry.key_id, entry.model, entry.path) == ("key_1", USE.model, USE.path)
    assert (entry.price_id, entry.request_id, entry.status) == ("price_1", "req_1", 200)
    assert dict(entry.counts) == {"input": 3}
    assert not entry.estimated


async def test_what_is_void_costs_nothing(authority: SpendingAuthority, folder: Path) -> None:
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 100)).void()
        (await hold(spender, 100)).void()
    assert ledger.account.balance == 100
    assert ledger.account.escrowed == 0
    assert not ledger.entries


async def test_credits_for_three_admit_three(authority: SpendingAuthority, folder: Path) -> None:
    """Of 32 at the same time; the others wait in vain for those that run."""
    ledger = authority.credit("ws_1", 30)
    async with spending(authority.address, folder) as spender:
        results = await outcomes(hold(spender, 10) for _ in range(32))
        admitted = [one for one in results if isinstance(one, Spending)]
        assert len(admitted) == 3
        assert {type(one) for one in results} == {Spending, AllHeld}
        for one in admitted:
            one.charge(10)
        await until(lambda: spender.counters.holds == 0)
        with pytest.raises(OutOfCredits):
            await hold(spender, 10)
    assert ledger.account.balance == 0
    assert len(ledger.entries) == 3


async def test_taking_needs_no_call(authority: SpendingAuthority, folder: Path) -> None:
    authority.credit("ws_1", 10_000)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 1_000)).void()
        await until(lambda: spender.free >= 1_000)
        calls = len(authority.calls)
        one = spender.take(KEY, 500, USE)
        assert one is not None
        assert len(authority.calls) == calls
        one.void()


async def test_what_is_left_is_taken_if_it_is_enough(
    authority: SpendingAuthority, folder: Path
) -> None:
    authority.credit("ws_1", 7)
    async with spending(authority.address, folder) as spender:
        with pytest.raises(AllHeld):
            await hold(spender, 10, least=8)
        one = await hold(spender, 10, least=7)
        assert one.amount == 7
        one.void()


async def test_those_who_wait_are_served_in_their_order(
    authority: SpendingAuthority, folder: Path
) -> None:
    """A small request doesn't overtake a large one, though it would fit."""
    authority.credit("ws_1", 10)
    served: list[int] = []

    async def ask(spender: Spender, amount: int) -> None:
        one = await hold(spender, amount)
        served.append(amount)
        one.void()

    async with spending(authority.address, folder) as spender:
        first = await hold(spender, 6)
        waiting = [asyncio.ensure_future(ask(spender, amount)) for amount in (9, 1, 8)]
        await until(lambda: len(authority.calls) >= 2)
        first.void()
        await asyncio.gather(*waiting)
    assert served == [9, 1, 8]


async def test_a_hold_is_extended(authority: SpendingAuthority, folder: Path) -> None:
    """Without a call from what is free, else by one, and up to what is left."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 10)
        assert spender.free == 10
        assert one.try_extend(5)
        assert not one.try_extend(50)
        await one.extend(50)
        assert one.amount == 65
        await one.extend(50)
        assert one.amount == 100
        with pytest.raises(AllHeld):
            await one.extend(1)
        one.charge(90)
    assert ledger.account.balance == 10
    assert (ledger.over, ledger.late, ledger.short) == (0, 0, 0)


async def test_the_first_end_counts(authority: SpendingAuthority, folder: Path) -> None:
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        first, second = await hold(spender, 10), await hold(spender, 10)
        first.void()
        first.charge(10)
        second.charge(3)
        second.charge(4)
        second.void()
        with pytest.raises(ValueError, match="at least 0"):
            second.charge(-1)
        assert not second.try_extend(1)
    assert ledger.charged == 3


@pytest.mark.parametrize(("cost", "count"), [(1.5, 1), (1, 1.5), (1, 10**30), (10**17, 2.0)])
async def test_what_can_not_be_sent_ends_nothing(
    authority: SpendingAuthority, folder: Path, cost: Any, count: Any
) -> None:
    """It would keep back the charges beside it, for as long as it is in the spool."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 10)
        with pytest.raises(ValueError, match="whole number"):
            one.charge(cost, counts={"input": count})
        one.charge(3)
    assert ledger.charged == 3


async def test_what_has_no_end_is_charged_as_held(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Whether it was dropped, failed or was cancelled: once, and estimated."""
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        remembered: list[Spending] = []

        async def fails() -> None:
            async with spender.hold(KEY, 1, USE) as one:
                remembered.append(one)
                raise RuntimeError

        async def hangs() -> None:
            _held = await hold(spender, 20)
            await asyncio.Event().wait()

        with suppress(RuntimeError):
            await fails()
        hanging = asyncio.ensure_future(hangs())
        await until(lambda: spender.counters.holds == 1 and len(ledger.entries) == 1)
        hanging.cancel()
        await asyncio.wait([hanging])
        del hanging
        dropped = await hold(spender, 300)
        del dropped
        gc.collect()
        await until(lambda: spender.counters.holds == 0)
    assert sorted(one.cost_nano_credits for one in ledger.entries.values()) == [1, 20, 300]
    assert all(one.estimated for one in ledger.entries.values())
    assert ledger.account.escrowed == 0


async def test_one_who_leaves_while_waiting_holds_nothing(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Also in the moment in which it is given what it waited for."""
    ledger = authority.credit("ws_1", 10)
    async with spending(authority.address, folder) as spender:
        first = await hold(spender, 10)
        waiting = asyncio.ensure_future(hold(spender, 10))
        await until(lambda: len(authority.calls) >= 2)
        workspace = spender._accounts.of("ws_1")
        [waiter] = workspace.line.waiters.values()
        first.void()
        # Looks in each step of the loop: the request hears of what it is given in the next one.
        async with asyncio.timeout(10):
            while not waiter.future.done():  # noqa: ASYNC110 - in every step
                await asyncio.sleep(0)
        assert workspace.free == 0
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        await until(lambda: workspace.free == 10)
        (await hold(spender, 10)).void()
    assert not ledger.entries


async def test_a_top_up_is_in_force_at_once(authority: SpendingAuthority, folder: Path) -> None:
    authority.credit("ws_1", 0)
    async with spending(authority.address, folder) as spender:
        for _ in range(10):
            with pytest.raises(OutOfCredits):
                await hold(spender, 10)
            authority.credit("ws_1", 10)
            one = await hold(spender, 10)
            one.charge(10)
            await until(lambda: spender.counters.holds == 0)


async def test_what_is_free_of_charge_needs_no_credits(
    authority: SpendingAuthority, folder: Path
) -> None:
    """It is written down as any other."""
    ledger = authority.credit("ws_1", 0)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 0)).charge(0, counts={"input": 5})
    [entry] = ledger.entries.values()
    assert entry.cost_nano_credits == 0


async def test_texts_of_clients_fit_into_charges(
    authority: SpendingAuthority, folder: Path
) -> None:
    """One that the authority refused would stop all others."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        use = type(USE)("a\x00b\ud800" + "m" * 300, "/" + "p" * 300, "r" * 300)
        (await spender.hold(KEY, 1, use)).charge(1)
    [entry] = ledger.entries.values()
    assert entry.model[:4] == "a\ufffdb\ufffd"
    assert (len(entry.model), len(entry.path), len(entry.request_id)) == (256, 256, 128)


async def test_without_a_spool_nothing_is_let_through(
    authority: SpendingAuthority, folder: Path
) -> None:
    """And nothing is held."""
    authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        await spender._spool.close()
        for _ in range(3):
            with pytest.raises(SpendingUnavailable):
                await hold(spender, 40)
        assert spender.counters.unavailable == 3
        assert spender.counters.holds == 0


class _Refusing(Spool):
    """A spool that can't write the first two times that it is to write ends."""

    tries = 0

    def end(self, charged: Iterable[SpooledCharge], voided: Iterable[str]) -> int:
        self.tries += 1
        if self.tries < 3:
            raise SpoolError("as the test wants")
        return super().end(charged, voided)


async def test_an_end_that_cannot_be_written_stays_held(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is written as soon as it can be. The log says that once."""
    workspace = WorkspaceCredits("ws_1", Demand(0.0, 1.0, 10.0), SliceNumbers())
    charge = SpooledCharge("r", 60, {("s", 1): 100}, "ws_1", "key_1", "m", "/v1/x", "q", "p", {})
    spool, counters, ended = _Refusing(folder), Counters(holds=1), list[int]()
    ends = Ends(spool, lambda _, charges: ended.append(charges), counters)
    spool.hold(charge)
    workspace.holds = 1
    ends.charge(workspace, charge)
    await until(lambda: spool.tries == 2)
    assert caplog.text.count("end_not_spooled") == 1
    assert (counters.holds, workspace.holds, workspace.brings("r")) == (1, 1, False)
    await until(lambda: counters.holds == 0)
    # Only then what it leaves over is free, and its charge brought.
    assert (workspace.holds, workspace.brings("r"), ended) == (0, True, [1])
    assert spool.unconfirmed(1) == [charge]
    await ends.finish(1.0)
    await spool.close()


async def test_ends_of_one_step_are_written_together(
    authority: SpendingAuthority, folder: Path
) -> None:
    """In the next one."""
    ledger = authority.credit("ws_1", 300)
    async with spending(authority.address, folder) as spender:
        admitted = [await hold(spender, 100) for _ in range(3)]
        with calls_of(Spool.end) as written:
            for one in admitted[:2]:
                one.charge(60)
            admitted[2].void()
            assert written == []
            await asyncio.sleep(0)
        assert [(len(one["charged"]), len(one["voided"])) for one in written] == [(2, 1)]
    assert ledger.charged == 120


async def test_a_verifier_has_one_spender_and_a_cache(
    authority: SpendingAuthority, folder: Path
) -> None:
    authority.credit("ws_1", 100)
    async with leased(authority.address) as verifier:
        for _ in range(3):
            # The numbers of slices go on: the authority would take an old one for a repeated call.
            async with Spender(verifier, folder) as spender:
                one = await hold(spender, 100)
                assert authority.ledgers["ws_1"].account.escrowed == 100
                one.void()
                with pytest.raises(RuntimeError):
                    await Spender(verifier, folder).__aenter__()
    assert authority.ledgers["ws_1"].account.escrowed == 0
    assert authority.passed == 0
    with pytest.raises(ValueError, match="cache"):
        Spender(Verifier(authority.address, token=Secret(TOKEN), cache=False), folder)


async def test_nobody_is_let_through_while_it_leaves(
    authority: SpendingAuthority, folder: Path
) -> None:
    """What is not ended by then is found in the spool."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 10)
        waiting = asyncio.ensure_future(hold(spender, 1_000))
        await until(lambda: spender._waiting.count == 1)
    with pytest.raises(SpendingUnavailable):
        await waiting
    with pytest.raises(SpendingUnavailable):
        await hold(spender, 1)
    assert ledger.account.escrowed == 10
    one.ended = True
    async with spending(authority.address, folder):
        await until(lambda: ledger.charged == 10)
        await until(lambda: ledger.account.escrowed == 0)


@pytest.mark.parametrize("how", ["left", "cancelled"])
async def test_nothing_is_said_after_it_left(
    authority: SpendingAuthority, folder: Path, how: str
) -> None:
    """A call that had no answer by then is made again by whoever adopts the spool."""
    authority.credit("ws_1", 1_000)
    door = Door()
    async with leased(authority.address) as verifier:
        async with AsyncExitStack() as stack:
            spender = await stack.enter_async_context(
                Spender(verifier, folder, timeout=5.0, pace=Pace(settled_within=0.2))
            )
            one = await hold(spender, 100)
            authority.before = door
            one.charge(50)
            await door.reached.wait()
            leaving = asyncio.create_task(stack.pop_all().aclose())
            if how == "cancelled":
                await asyncio.sleep(0)
                leaving.cancel()
            await asyncio.wait({leaving})
        calls = len(authority.calls)
        door.open.set()
        await asyncio.sleep(1.2)  # in which charges that wait would be said
        assert len(authority.calls) == calls
        async with Spender(verifier, folder, timeout=5.0):
            await until(lambda: authority.ledgers["ws_1"].charged == 50)


async def test_a_check_holds_nothing(authority: SpendingAuthority, folder: Path) -> None:
    """And writes nothing; it says why a request would be refused."""
    authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        await spender.check(KEY)
        await spender.check(KEY)
        assert spender.counters.holds == 0
    assert list(folder.iterdir()) == []  # a spool that was used stays
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 100)
        with pytest.raises(AllHeld):
            await spender.check(KEY)
        one.charge(100)
        await until(lambda: spender.counters.holds == 0)
        with pytest.raises(OutOfCredits):
            await spender.check(KEY)


async def test_what_runs_goes_before_what_is_to_begin(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Else an answer that is under way would be cut for the sake of a request that may wait."""
    authority.credit("ws_1", 100)
    async with spending(authority.address, folder) as spender:
        stream = await hold(spender, 60)
        small = await hold(spender, 40)
        newcomers = [asyncio.create_task(hold(spender, 20)) for _ in range(2)]
        await until(lambda: spender._waiting.count == 2)
        extension = asyncio.create_task(stream.extend(20))
        await until(lambda: spender._waiting.count == 3)
        small.void()
        await extension
        assert stream.amount == 80
        served = await asyncio.gather(*newcomers, return_exceptions=True)
        assert isinstance(served[0], Spending)
        assert isinstance(served[1], AllHeld)
        served[0].void()
        stream.charge(60)


async def test_a_recall_comes_within_the_patience(
    authority: SpendingAuthority, folder: Path
) -> None:
    """The authority recalls what lies idle at others once a second and workspace."""
    assert timedelta(seconds=PATIENCE) >= RECALLED_EVERY + 2 * timedelta(seconds=BUSY_PAUSE)
    authority.credit("ws_1", 100)
    change, last = authority.change, [-1.0]

    async def once_a_second(*subjects: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - last[0] >= 1:
            last[0] = now
            await change(*subjects)

    async with (
        leased(authority.address) as one_verifier,
        leased(authority.address) as other_verifier,
        Spender(one_verifier, folder) as one,
        Spender(other_verifier, folder) as other,
    ):
        (await hold(other, 100)).void()
        await until(lambda: other.free == 100)
        authority.change = once_a_second  # type: ignore[method-assign]
        last[0] = asyncio.get_running_loop().time()
        (await hold(one, 10)).void()
