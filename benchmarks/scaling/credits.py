"""One busy workspace: how many charges a second its account's row takes, from many verifiers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.virtual import now, quantiles, run
from keyauthority.domain.credits.settling import BATCHES, TOGETHER
from keyauthority.domain.credits.spending import AT_ONCE
from keyauthority.domain.gathering import Gathering
from keyauthority.escrow.purse import Call, Charge, Purse, SliceNumbers
from keyauthority.escrow.slices import Account, Part, Settled, Slice, Word, charge, settle

COST: Final = 1_000
SECOND: Final = 1.0
"""A verifier's charges go with its next call: with the most that a call takes, or after a second."""

WARM: Final = 3.0
LOADED: Final = 10.0
"""Virtual seconds: when counting begins and ends."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one workspace's verifiers got. `rate` is charges settled a second, `p99` of calls in seconds."""

    verifiers: int
    offered: float
    rate: float
    p99: float
    refused: int
    held: float


@dataclass(slots=True)
class _Ledger:
    # The account of the workspace, and its slices by session.
    costs: Costs
    account: Account = field(default_factory=lambda: Account(10**17))
    slices: dict[str, Slice] = field(default_factory=dict)
    row: asyncio.Lock = field(default_factory=asyncio.Lock)
    settled: int = 0
    held: float = 0.0

    async def work(self, calls: Sequence[tuple[str, Call]]) -> Sequence[Settled]:
        charges = sum(len(call.charges) for _, call in calls)
        each = self.costs.seconds("account_held_each")
        seconds = self.costs.seconds("account_held") + each * (charges + len(calls))
        async with self.row:
            await asyncio.sleep(seconds)
            if WARM <= now() < LOADED:
                self.held += seconds
                self.settled += charges
            return [self._settle(session, call) for session, call in calls]

    def _settle(self, session: str, call: Call) -> Settled:
        for one in call.charges:
            parts = [Part(key, self.slices.get(session), held) for key, held in one.parts.items()]
            charged = charge(self.account, one.cost, parts)
            self.account = charged.account
            for changed in charged.slices.values():
                self.slices[session] = changed
        sharers = len(self.slices) + (session not in self.slices)
        settled = settle(self.account, self.slices.get(session), call.request, sharers)
        self.account = settled.account
        if settled.slices:
            self.slices[session] = settled.slices[-1]
        return settled


def spending(verifiers: int, offered: float, costs: Costs | None = None) -> Spent:
    """Simulates *offered* charges a second of one workspace, spread over *verifiers*, for some seconds."""
    return run(_spending(verifiers, offered, costs or Costs()))


async def _spending(verifiers: int, offered: float, costs: Costs) -> Spent:
    ledger = _Ledger(costs)
    gathering: Gathering[tuple[str, Call], Settled] = Gathering(
        ledger.work, size=lambda item: len(item[1].charges) + 1, most=TOGETHER, at_once=BATCHES
    )
    took: list[float] = []
    refused = 0
    numbers, references = SliceNumbers(), count()
    each = max(round(offered / verifiers), 1)
    period = min(SECOND, AT_ONCE / each)

    async def verifier(number: int) -> None:
        nonlocal refused
        purse = Purse(f"session{number}", numbers)
        await asyncio.sleep(SECOND * number / verifiers)
        while now() < LOADED:
            start = now()
            # Twice what the last second took.
            call = purse.call(2 * each * COST, COST)
            settled = await gathering.do((purse.session, call))
            purse.answered(call, settled.word, settled.granted)
            purse.confirmed([one.reference for one in call.charges])
            refused += settled.word is not Word.GRANTED
            took.append(now() - start)
            # The requests of the time since, at the rate that they come.
            for _ in range(min(round(each * max(now() - start, period)), AT_ONCE)):
                if (parts := purse.take(COST)) is not None:
                    purse.charge([Charge(str(next(references)), COST, parts)])
            await asyncio.sleep(max(start + period - now(), 0.0))

    await asyncio.gather(*(verifier(number) for number in range(verifiers)))
    seconds = LOADED - WARM
    p99 = quantiles(took)["p99"]
    return Spent(verifiers, offered, ledger.settled / seconds, p99, refused, ledger.held / seconds)
