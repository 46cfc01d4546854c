"""What is let through, refused and charged, by one spender."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from keyauthority.client import AllHeld, OutOfCredits, Spending
from tests.client.parts import until
from tests.client.spender.authority import SpendingAuthority
from tests.client.spender.parts import KEY, USE, hold, spending


async def outcomes(*holds: asyncio.Future[Spending]) -> list[Spending | BaseException]:
    return await asyncio.gather(*holds, return_exceptions=True)


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
        results = await outcomes(*(asyncio.ensure_future(hold(spender, 10)) for _ in range(32)))
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
