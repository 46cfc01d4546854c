"""What changes elsewhere: nothing that is gone is spent, and nothing of it waits for the next call."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest

from keyauthority.client import AllHeld, OutOfCredits, SpendingUnavailable
from keyauthority.client.spending.pace import Pace
from keyauthority.pricing.prices import Price
from keyauthority.v1 import price_pb2
from keyauthority.v1 import spending_service_pb2 as pb
from keyauthority.v1 import verification_service_pb2 as verification
from tests.client.parts import until
from tests.client.spender.authority import SpendingAuthority
from tests.client.spender.parts import KEY, USE, Door, hold, spending


def row(name: str, rate: int) -> price_pb2.Price:
    """A price for all requests."""
    price = price_pb2.Price(id=name, model="*", path="*")
    price.effective_time.FromDatetime(datetime(2026, 1, 1, tzinfo=UTC))
    price.rates.request = rate
    return price


async def acknowledged(authority: SpendingAuthority, *subjects: str) -> None:
    """Returns when the verifier says that it has applied a change of *subjects*."""
    await authority.change(*subjects)
    revision = authority.revision
    await until(lambda: authority.syncs[-1].revision == revision)


async def test_nothing_is_spent_of_a_slice_after_its_credits_changed(
    authority: SpendingAuthority, folder: Path
) -> None:
    """It is closed by the time at which the authority hears that the change is applied."""
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 100)
        await until(lambda: spender.free > 0)
        acknowledged_free: list[int] = []

        def watched(request: verification.SyncRequest) -> None:
            if request.revision == authority.revision:
                acknowledged_free.append(spender.free)

        authority.away = True
        await authority.change("ws_1/credits")
        authority.synced = watched
        await until(lambda: acknowledged_free != [])
        assert spender.take(KEY, 1, USE) is None
        authority.away = False
        await until(lambda: ledger.account.escrowed == one.amount)
        assert set(acknowledged_free) == {0}
        one.charge(100)
        (await hold(spender, 900)).void()
    assert ledger.account.balance == 900
    assert (ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0)


@pytest.mark.parametrize("waits", [False, True])
async def test_the_acknowledgement_of_a_change_goes_before_what_it_closes(
    authority: SpendingAuthority, folder: Path, waits: bool
) -> None:
    """Whoever changes credits waits for that alone. A request that waits for more lets nothing wait."""
    authority.credit("ws_1", 1_000)
    authority.recalls = False
    pace = Pace(closes=30.0 if waits else 0.2)
    async with spending(authority.address, folder, pace=pace) as spender:
        (await hold(spender, 100)).void()
        await until(lambda: spender.free > 0 and spender.counters.holds == 0)
        asked = asyncio.ensure_future(hold(spender, 2_000)) if waits else None
        await asyncio.sleep(0)
        acknowledged_before: list[bool] = []

        async def settled(request: pb.SettleRequest) -> None:
            revisions = {one.revision for one in authority.syncs}
            acknowledged_before.extend(authority.revision in revisions for _ in request.closings)

        authority.before = settled
        await authority.change("ws_1/credits")
        await until(lambda: acknowledged_before != [])
        assert waits or acknowledged_before[0]
        if asked is not None:
            with pytest.raises(AllHeld):
                await asked


async def test_what_closes_while_a_call_is_under_way_goes_soon_after_it(
    authority: SpendingAuthority, folder: Path
) -> None:
    """It does not wait for the next charges: others may wait for what is free in it."""
    ledger = authority.credit("ws_1", 1_000)
    authority.recalls = False
    pace = Pace(closes=0.01, flush=60.0, looks=60.0)
    async with spending(authority.address, folder, pace=pace) as spender:
        (await hold(spender, 100)).void()
        await until(lambda: spender.free > 0 and spender.counters.holds == 0)
        door = authority.late = Door()
        asked = asyncio.ensure_future(hold(spender, 2_000))
        await door.reached.wait()
        asked.cancel()
        await asyncio.wait([asked])
        await acknowledged(authority, "ws_1/credits")
        # It could not go meanwhile.
        settling = spender._settling
        await until(lambda: not (settling._timers or settling._due))
        assert ledger.account.escrowed > 0
        door.open.set()
        await until(lambda: ledger.account.escrowed == 0)


async def test_a_change_of_others_closes_nothing(
    authority: SpendingAuthority, folder: Path
) -> None:
    authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        (await hold(spender, 100)).void()
        await until(lambda: spender.counters.holds == 0)
        free = spender.free
        await acknowledged(authority, "ws_2/credits", "ws_1", "key_1")
        assert spender.free == free > 0


@pytest.mark.parametrize("how", ["reset", "books went back", "rejoined"])
async def test_every_slice_is_closed(authority: SpendingAuthority, folder: Path, how: str) -> None:
    """At a reset, an alarm and a new session: what is under way of it counts for nothing."""
    authority.lease = 0.5
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 100)
        await until(lambda: spender.free > 0)
        if how == "reset":
            authority.reset = True
            await authority.change()
            await until(lambda: spender.free == 0)
            authority.reset = False
        elif how == "books went back":
            await acknowledged(authority)
            authority.revision = 1
            await until(lambda: spender.free == 0)
            authority.revision = 3
        else:
            session = spender._verifier.session_id
            authority.sync_fails = grpc.StatusCode.NOT_FOUND
            await until(lambda: spender._verifier.session_id == "")
            assert spender.take(KEY, 1, USE) is None
            authority.sync_fails = None
            await until(lambda: spender._verifier.session_id not in {"", session})
            assert spender.take(KEY, 1, USE) is None
        one.charge(100)
        await until(lambda: spender._verifier.lease_held)
        (await hold(spender, 900)).void()
    assert ledger.account.balance == 900
    assert (ledger.late, ledger.short) == (0, 0)
    assert ledger.account.escrowed == 0


async def test_a_grant_to_a_session_that_ended_meanwhile_is_not_spent(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Whoever waits for it gets credits of the next session."""
    authority.lease = 0.5
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        door = Door()
        authority.late = door
        waiting = asyncio.ensure_future(hold(spender, 100))
        await door.reached.wait()
        authority.sync_fails = grpc.StatusCode.NOT_FOUND
        await until(lambda: spender._verifier.session_id == "")
        authority.sync_fails = None
        await until(lambda: spender._verifier.session_id != "" and spender._verifier.lease_held)
        door.open.set()
        one = await waiting
        assert {session for session, _ in one.parts} == {spender._verifier.session_id}
        one.charge(100)
    assert ledger.account.balance == 900
    assert (ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0)


async def test_without_a_lease_each_request_is_asked_for(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Nothing is spent that was granted before: it goes back, and what waits gets exactly its hold."""
    authority.lease = 0.5
    ledger = authority.credit("ws_1", 1_000)
    async with spending(authority.address, folder) as spender:
        one = await hold(spender, 100)
        assert spender.free > 0
        authority.sync_fails = grpc.StatusCode.UNAVAILABLE
        await until(lambda: not spender._verifier.lease_held)
        assert spender.take(KEY, 1, USE) is None
        assert not one.try_extend(1)
        more = [await hold(spender, 10) for _ in range(3)]
        assert spender.free == 0
        assert ledger.account.escrowed == 130
        await one.extend(20)
        assert ledger.account.escrowed == 150
        for each in (one, *more):
            each.charge(5)
        await until(lambda: len(ledger.entries) == 4)
    assert ledger.account.balance == 980
    assert (ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0)


async def test_prices_are_read_again_when_they_change(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Until then nobody goes by the old ones."""
    authority.prices = [row("price_1", 5)]

    def named(price: Price | None) -> str:
        return price.id if price is not None else ""

    async with spending(authority.address, folder, timeout=0.5) as spender:
        assert named(await spender.find_price("gpt-5", "/v1/x")) == "price_1"
        assert named(spender.price("gpt-5", "/v1/x")) == "price_1"
        authority.prices = [row("price_2", 6)]
        authority.away = True
        await acknowledged(authority, "prices")
        with pytest.raises(SpendingUnavailable):
            spender.price("gpt-5", "/v1/x")
        with pytest.raises(SpendingUnavailable):
            await spender.find_price("gpt-5", "/v1/x")
        waiting = asyncio.ensure_future(spender.find_price("gpt-5", "/v1/x"))
        authority.away = False
        assert named(await waiting) == "price_2"
        authority.prices = []
        await acknowledged(authority, "prices")
        assert await spender.find_price("gpt-5", "/v1/x") is None
        assert spender.price("gpt-5", "/v1/x") is None


async def test_without_a_lease_prices_are_read_for_each_request(
    authority: SpendingAuthority, folder: Path
) -> None:
    authority.lease = 0.5
    authority.prices = [row("price_1", 5)]
    async with spending(authority.address, folder) as spender:
        await spender.find_price("gpt-5", "/v1/x")
        authority.sync_fails = grpc.StatusCode.UNAVAILABLE
        await until(lambda: not spender._verifier.lease_held)
        with pytest.raises(SpendingUnavailable):
            spender.price("gpt-5", "/v1/x")
        authority.prices = [row("price_2", 5)]
        found = await asyncio.gather(*(spender.find_price("gpt-5", "/v1/x") for _ in range(9)))
        assert {price.id for price in found if price is not None} == {"price_2"}


async def test_a_table_from_before_the_change_is_not_gone_by(
    authority: SpendingAuthority, folder: Path
) -> None:
    """The change overtook the answer."""
    authority.prices = [row("price_1", 5)]
    async with spending(authority.address, folder) as spender:
        await spender.find_price("gpt-5", "/v1/x")
        revision = authority.revision
        authority.stale_prices = revision
        await acknowledged(authority, "prices")
        calls = authority.price_calls
        await until(lambda: authority.price_calls > calls + 1)
        with pytest.raises(SpendingUnavailable):
            spender.price("gpt-5", "/v1/x")
        authority.stale_prices = 0
        assert await spender.find_price("gpt-5", "/v1/x") is not None


async def test_what_idles_goes_back(authority: SpendingAuthority, folder: Path) -> None:
    """After a while without a request, and the workspace is forgotten, but not its number."""
    ledger = authority.credit("ws_1", 1_000)
    pace = Pace(idle=0.5, period=0.2, looks=0.1)
    async with spending(authority.address, folder, pace=pace) as spender:
        (await hold(spender, 100)).charge(50)
        await until(lambda: ledger.account.escrowed == 0)
        await until(lambda: spender._accounts.find("ws_1") is None)
        (await hold(spender, 100)).charge(50)
        await until(lambda: len(ledger.entries) == 2)
    assert ledger.account.balance == 900
    assert [number for _, number in ledger.slices] == [1, 2]
    assert authority.passed == 0


@pytest.mark.parametrize("balance", [0, 100])
async def test_a_workspace_without_credits_is_forgotten(
    authority: SpendingAuthority, folder: Path, balance: int
) -> None:
    """Whether it had none or they are spent to the last: its slice is closed after a while."""
    ledger = authority.credit("ws_1", balance)
    async with spending(authority.address, folder, pace=Pace(idle=0.3, looks=0.1)) as spender:
        if balance:
            (await hold(spender, 100)).charge(100)
        with pytest.raises(OutOfCredits):
            await hold(spender, 10)
        await until(lambda: spender._accounts.find("ws_1") is None)
        assert all(one.closed for one in ledger.slices.values())
        authority.credit("ws_1", 50)
        (await hold(spender, 50)).charge(50)
    assert ledger.charged == balance + 50
    assert authority.passed == 0


async def test_a_workspace_with_a_request_is_not_forgotten(
    authority: SpendingAuthority, folder: Path
) -> None:
    """Nothing may be held for it: what is held later has to be in the same purse."""
    ledger = authority.credit("ws_1", 100)
    async with spending(authority.address, folder, pace=Pace(looks=0.05)) as spender:
        one = await hold(spender, 0)
        other = await spender.hold(replace(KEY, workspace_id="ws_2"), 0, USE)
        other.void()
        await until(lambda: spender._accounts.find("ws_2") is None)
        await one.extend(60)
        (await hold(spender, 40)).charge(40)
        one.charge(60)
    assert ledger.account.balance == 0
    assert (ledger.late, ledger.short, ledger.account.escrowed) == (0, 0, 0)
