"""Random histories: calls late, lost and repeated, changes, sessions and leases that end."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import grpc
import pytest

from keyauthority.client import AllHeld, OutOfCredits, Request, Spender, SpendingUnavailable
from keyauthority.client.spending.pace import Pace
from keyauthority.v1 import spending_service_pb2 as pb
from tests.client.parts import until
from tests.client.spender.authority import Ledger, SpendingAuthority
from tests.client.spender.parts import KEY, spending

SEEDS = 40 if os.environ.get("TEST_LONG") else 3
CREDITS = 3_000


class History:
    """What one seed does."""

    def __init__(self, authority: SpendingAuthority, ledger: Ledger, seed: int) -> None:
        self.authority = authority
        self.ledger = ledger
        self.dice = random.Random(seed)
        self.costs: dict[str, int] = {}
        self.credits = CREDITS
        self.refused = 0
        self.done = False

    async def network(self, request: pb.SettleRequest) -> None:
        """A call is late, and earlier ones arrive once more."""
        await asyncio.sleep(self.dice.random() ** 4 / 20)
        if self.authority.calls and self.dice.random() < 0.5:
            self.authority.apply(self.dice.choice(self.authority.calls[-6:]))

    async def client(self, spenders: list[Spender]) -> None:
        """Requests one after the other, until all is done."""
        while not self.done:
            spender = self.dice.choice(spenders)
            request = Request("gpt-5", "/v1/x", "r")
            try:
                one = await spender.hold(KEY, self.dice.randint(0, 60), request)
            except (OutOfCredits, AllHeld, SpendingUnavailable):
                self.refused += 1
                await asyncio.sleep(0.01)
                continue
            await asyncio.sleep(self.dice.random() ** 3 / 5)
            if self.dice.random() < 0.3:
                try:
                    await one.extend(self.dice.randint(1, 40))
                except (OutOfCredits, AllHeld, SpendingUnavailable):
                    self.refused += 1
            if self.dice.random() < 0.2:
                one.void()
            else:
                cost = self.costs[one.reference] = self.dice.randint(0, one.amount)
                one.charge(cost)

    async def world(self) -> None:
        """What happens meanwhile."""
        for _ in range(25):
            await asyncio.sleep(0.05)
            event = self.dice.randint(0, 5)
            if event == 0:
                await self.authority.change("ws_1/credits")
            elif event == 1:
                self.authority.credit("ws_1", 100)
                self.credits += 100
            elif event == 2:
                self.authority.away = not self.authority.away
            elif event == 3:
                self.authority.sync_fails = self.dice.choice(
                    [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE]
                )
            else:
                self.authority.sync_fails = None
        self.authority.away, self.authority.sync_fails = False, None
        self.done = True

    def uncovered(self, spenders: list[Spender]) -> int:
        """What a spender has beyond what stands in slices of its sessions: never anything."""
        beyond = 0
        for spender in spenders:
            workspace = spender._accounts.find("ws_1")
            for session, purse in workspace._purses.items() if workspace is not None else ():
                slices = [one for (name, _), one in self.ledger.slices.items() if name == session]
                unentered = sum(
                    amount
                    for name, charge in purse._charges.items()
                    if name in self.ledger.entries
                    for (of, _), amount in charge.taken().items()
                    if of == session
                )
                held = purse.free + sum(purse._held.values()) - unentered
                beyond = max(beyond, held - sum(one.amount for one in slices))
        return beyond


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_nothing_is_lost_or_spent_twice(
    authority: SpendingAuthority, folder: Path, seed: int
) -> None:
    """And what spenders have always stands in slices."""
    pace = Pace(flush=0.1, looks=0.1, period=0.1, idle=0.3, adopts=0.3)
    authority.lease = 0.6
    ledger = authority.credit("ws_1", CREDITS)
    history = History(authority, ledger, seed)
    authority.before = history.network
    authority.lose = lambda _: history.dice.random() < 0.2
    async with (
        spending(authority.address, folder, timeout=1.0, pace=pace) as first,
        spending(authority.address, folder, timeout=1.0, pace=pace) as second,
    ):
        spenders = [first, second]
        worst = 0

        async def watch() -> None:
            nonlocal worst
            while not history.done:
                worst = max(worst, history.uncovered(spenders))
                await asyncio.sleep(0.002)

        clients = [history.client(spenders) for _ in range(20)]
        await asyncio.gather(history.world(), watch(), *clients)
        assert worst == 0
        authority.lose = lambda _: False
        await until(lambda: not any(one.counters.holds for one in spenders))
        await until(lambda: len(ledger.entries) == len(history.costs))
    entered = {name: one.cost_nano_credits for name, one in ledger.entries.items()}
    assert entered == history.costs
    assert len(history.costs) > 10
    assert ledger.account.balance == history.credits - sum(history.costs.values())
    assert (ledger.over, ledger.late, ledger.short) == (0, 0, 0)
    assert ledger.account.escrowed == 0
