"""Spenders of a real authority, on SQLite and on PostgreSQL: the ledger says what they did."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest

from keyauthority.client import AllHeld, OutOfCredits, Request, Spender, Spending, VerifiedKey
from keyauthority.domain.callers import Role
from keyauthority.server import Pace, serving
from keyauthority.v1.ledger_service_pb2 import (
    AdjustRequest,
    EntryKind,
    GetBalanceRequest,
    LedgerEntry,
    ListEntriesRequest,
    SetPricesRequest,
    TopUpRequest,
    VerifyLedgerRequest,
)
from keyauthority.v1.price_pb2 import Price, Rates
from tests.client.parts import leased, until
from tests.postgres import new_database
from tests.rpc.parts import Api, Authority, eventually, issue, set_lease, settings_in

LEASE = timedelta(milliseconds=600)
ROOT = Path(__file__).parents[3]
KILLS = 4


@dataclass
class Bank:
    """An installation with one workspace, and a caller that verifies."""

    authority: Authority
    verifier: Api
    workspace_id: str
    key: VerifiedKey
    folder: Path
    top_ups: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.authority.port}"

    async def top_up(self, amount: int) -> None:
        self.top_ups += 1
        purchase = f"purchase {self.top_ups}"
        await self.authority.root(
            TopUpRequest(
                workspace_id=self.workspace_id, purchase_id=purchase, amount_nano_credits=amount
            )
        )

    async def adjust(self, amount: int) -> None:
        self.top_ups += 1
        await self.authority.root(
            AdjustRequest(
                workspace_id=self.workspace_id,
                reference=f"adjustment {self.top_ups}",
                amount_nano_credits=amount,
                reason="as the test wants",
            )
        )

    async def balance(self) -> tuple[int, int]:
        """The balance, and what of it stands in slices, in a ledger that adds up."""
        proof = await self.authority.root(VerifyLedgerRequest(workspace_id=self.workspace_id))
        assert list(proof.faults) == []
        said = await self.authority.root(GetBalanceRequest(workspace_id=self.workspace_id))
        return said.balance.balance_nano_credits, said.balance.escrowed_nano_credits

    async def charges(self) -> dict[str, LedgerEntry]:
        """All charges, by reference."""
        found: dict[str, LedgerEntry] = {}
        token = ""
        while True:
            page = await self.authority.root(
                ListEntriesRequest(
                    workspace_id=self.workspace_id,
                    kind=EntryKind.ENTRY_KIND_CHARGE,
                    page_size=1_000,
                    page_token=token,
                )
            )
            found |= {entry.reference: entry for entry in page.entries}
            token = page.next_page_token
            if not token:
                return found

    async def hold(self, spender: Spender, amount: int, *, least: int | None = None) -> Spending:
        least = amount if least is None else least
        return await spender.hold(self.key, amount, Request("gpt-5", "/v1/x", "r"), least=least)


@pytest.fixture
async def running() -> AsyncIterator[AsyncExitStack]:
    """What the test has running; closing it stops the authority before the test's end."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(params=["sqlite", "postgres"])
async def bank(
    request: pytest.FixtureRequest, tmp_path: Path, folder: Path, running: AsyncExitStack
) -> AsyncIterator[Bank]:
    """A fresh installation with short leases."""
    settings = settings_in(tmp_path)
    if request.param == "postgres":
        settings = replace(settings, database=await new_database())
    else:
        await set_lease(settings, LEASE)
    port = await running.enter_async_context(serving(settings, pace=Pace(releasing=0.1)))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        root = Api(channel, settings.root_token.read_text().strip())
        authority = Authority(settings, port, root)
        workspace_id = await authority.workspace()
        key_id = (await issue(root, workspace_id)).key.id
        verifier = await authority.caller(Role.VERIFIER)
        key = VerifiedKey(key_id, workspace_id, "one", (), {})
        yield Bank(authority, verifier, workspace_id, key, folder)


@pytest.fixture
async def spenders(bank: Bank, running: AsyncExitStack) -> list[Spender]:
    """Three, each of a verifier that holds a lease."""
    return [await spender_of(bank, running) for _ in range(3)]


async def spender_of(bank: Bank, running: AsyncExitStack, **options: Any) -> Spender:
    verifier = await running.enter_async_context(leased(bank.address, bank.verifier.token))
    spender = Spender(verifier, bank.folder, **{"timeout": 10.0, **options})
    return await running.enter_async_context(spender)


@pytest.mark.parametrize("number", [1, 3])
async def test_credits_for_three_admit_three(
    bank: Bank, spenders: list[Spender], number: int
) -> None:
    """Of 32 at the same time, by one spender and by three."""
    await bank.top_up(30)
    asked = (bank.hold(spenders[at % number], 10) for at in range(32))
    results = await asyncio.gather(*asked, return_exceptions=True)
    admitted = [one for one in results if isinstance(one, Spending)]

    assert len(admitted) == 3
    assert {type(one) for one in results} == {Spending, AllHeld}
    for one in admitted:
        one.charge(10)
    await eventually(lambda: _is(bank.balance(), (0, 0)))
    for spender in spenders:
        with pytest.raises(OutOfCredits):
            await bank.hold(spender, 10)
    await bank.top_up(10)
    (await bank.hold(spenders[0], 10)).void()


async def test_credits_that_idle_elsewhere_are_recalled(
    bank: Bank, spenders: list[Spender]
) -> None:
    """One has all of it, and runs nothing. It keeps nothing from the others."""
    idle, asking, _ = spenders
    await bank.top_up(100)
    (await bank.hold(idle, 50)).void()
    await until(lambda: idle.free > 0)
    (await bank.hold(idle, 100)).void()
    await until(lambda: idle.free == 100)

    one = await bank.hold(asking, 100)

    assert idle.free == 0
    one.charge(100)
    await eventually(lambda: _is(bank.balance(), (0, 0)))


async def test_a_reduction_is_in_force_when_it_returns(bank: Bank, spenders: list[Spender]) -> None:
    """Nobody spends what is gone; what was held before is charged."""
    await bank.top_up(3_000)
    held = [await bank.hold(spender, 100) for spender in spenders]
    await until(lambda: all(spender.free > 0 for spender in spenders))

    await bank.adjust(-2_700)

    assert [spender.free for spender in spenders] == [0, 0, 0]
    for spender in spenders:
        with pytest.raises(AllHeld):
            await bank.hold(spender, 10)
    for one in held:
        one.charge(100)
    await eventually(lambda: _is(bank.balance(), (0, 0)))


async def test_top_ups_and_reductions_while_requests_run(
    bank: Bank, spenders: list[Spender]
) -> None:
    """Whatever is let through: the ledger is what was charged, and never below zero."""
    await bank.top_up(2_000)
    costs: dict[str, int] = {}
    clients = (
        _client(bank, spenders[number % 3], random.Random(number), costs) for number in range(30)
    )
    treasurer = asyncio.ensure_future(_treasurer(bank, random.Random(0)))
    await asyncio.gather(*clients)
    changed = await treasurer
    for spender in spenders:
        await until(lambda spender=spender: spender.counters.holds == 0)  # type: ignore[misc]
    await eventually(lambda: _entered(bank, costs))
    assert (await bank.balance())[0] == 2_000 + changed - sum(costs.values())


async def test_a_killed_process_loses_nothing(bank: Bank, running: AsyncExitStack) -> None:
    """What it charged is charged so, once; what was caught is charged as held; what was void is not."""
    await bank.top_up(10**9)
    said: dict[str, dict[str, int]] = {}
    for _ in range(KILLS):
        for line in await asyncio.to_thread(_output_until_killed, bank):
            word, reference, *amount = line.split()
            said.setdefault(reference, {})[word] = int(amount[0]) if amount else 0
    await spender_of(bank, running)

    await eventually(lambda: _charged_as_said(bank, said))

    charges = await bank.charges()
    for reference, words in said.items():
        entry = charges.get(reference)
        if entry is None:
            assert "void" in words
        elif entry.use.estimated:
            assert -entry.amount_nano_credits == words["hold"]
        else:
            assert -entry.amount_nano_credits == words["charge"]
    assert len(said) > 10 * KILLS
    spent = -sum(entry.amount_nano_credits for entry in charges.values())
    assert (await bank.balance())[0] == 10**9 - spent


async def test_prices_are_in_force_when_they_are_set(bank: Bank, spenders: list[Spender]) -> None:
    root = bank.authority.root
    assert await spenders[0].find_price("gpt-5", "/v1/x") is None
    for rate in (5, 6, 7):
        price = Price(model="*", path="*", rates=Rates(request=rate))
        await root(SetPricesRequest(prices=[price]))
        for spender in spenders:
            found = await spender.find_price("gpt-5", "/v1/x")
            assert found is not None
            assert found.rates.request == rate


async def _is(found: Any, wanted: Any) -> bool:
    return bool(await found == wanted)


async def _client(bank: Bank, spender: Spender, dice: random.Random, costs: dict[str, int]) -> None:
    for _ in range(25):
        try:
            one = await bank.hold(spender, dice.randint(1, 60), least=1)
        except (OutOfCredits, AllHeld):
            continue
        await asyncio.sleep(dice.random() / 50)
        if dice.random() < 0.3:
            await _extended(one, dice.randint(1, 20))
        if dice.random() < 0.2:
            one.void()
        else:
            cost = costs[one.reference] = dice.randint(0, one.amount)
            one.charge(cost)


async def _treasurer(bank: Bank, dice: random.Random) -> int:
    # How much is there for sure is not known: some reductions are refused.
    changed = 0
    for _ in range(12):
        amount = dice.choice([300, 200, -250])
        with suppress(grpc.aio.AioRpcError):
            await (bank.top_up(amount) if amount > 0 else bank.adjust(amount))
            changed += amount
        await asyncio.sleep(0.02)
    return changed


async def _extended(one: Spending, amount: int) -> None:
    with suppress(OutOfCredits, AllHeld):
        await one.extend(amount)


async def _entered(bank: Bank, costs: dict[str, int]) -> bool:
    charges = await bank.charges()
    return {name: -entry.amount_nano_credits for name, entry in charges.items()} == costs


async def _charged_as_said(bank: Bank, said: dict[str, dict[str, int]]) -> bool:
    charges = await bank.charges()
    return all(name in charges or "void" in words for name, words in said.items())


def _output_until_killed(bank: Bank) -> list[str]:
    arguments = [bank.address, str(bank.folder), bank.verifier.token]
    arguments += [bank.workspace_id, bank.key.id]
    command = [sys.executable, "-m", "tests.client.spender.worker", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        lines = [worker.stdout.readline() for _ in range(random.randint(30, 120))]
        worker.kill()
        lines += worker.stdout
    return [line.rstrip("\n") for line in lines if line.endswith("\n")]
