"""How many changes a second get past the counter's row, one by one and in batches of what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.virtual import Processor, now, quantiles, run
from keyauthority.domain.books import TOGETHER
from keyauthority.domain.gathering import Gathering
from keyauthority.storage.sql.store import SqlStore

CONNECTIONS: Final = 8
"""Changes that one replica has under way at a time if each goes alone."""

SECONDS: Final = 10.0
"""Virtual seconds of load, at least; rounds that take longer are waited for."""

ROUNDS: Final = 20


@dataclass(frozen=True, slots=True)
class Changes:
    """What `callers`, each with one change under way, get. Times in seconds, without the fence."""

    callers: int
    batched: bool
    rate: float
    p50: float
    p99: float
    batch: float


class _Row:
    # The counter's row, and what it costs to change it. `longer` seconds more per commit, such as
    # those to a synchronous standby; `trip` seconds for each statement.
    def __init__(self, costs: Costs, longer: float, trip: float) -> None:
        self._costs = costs
        self._lock = asyncio.Lock()
        self._before = costs.seconds("change_before") + costs.statements_before * trip
        self._held = costs.seconds("change_held") + costs.statements_held * trip + longer
        self.batches = 0

    async def change(self, cpu: Processor, changes: Sequence[int]) -> Sequence[int]:
        costs, more = self._costs, len(changes) - 1
        # Most of a change is the replica's own work, the rest is waiting for the database.
        await cpu.work(costs.seconds("change_before_each") * len(changes))
        await asyncio.sleep(max(self._before - costs.seconds("change_before_each"), 0.0))
        async with self._lock:
            await asyncio.sleep(self._held + costs.seconds("change_held_each") * more)
        self.batches += 1
        return changes


def changes(
    callers: int,
    replicas: int,
    costs: Costs | None = None,
    *,
    batched: bool,
    longer: float = 0.0,
    trip: float = 0.0,
) -> Changes:
    """Simulates callers that each make one change after the other, spread over *replicas*.

    Each commit takes *longer* seconds more than the measured one, and each statement *trip* seconds.
    """
    return run(_changes(callers, replicas, costs or Costs(), batched, longer, trip))


async def _changes(
    callers: int,
    replicas: int,
    costs: Costs,
    batched: bool,
    longer: float,
    trip: float,
) -> Changes:
    row = _Row(costs, longer, trip)

    def gathering() -> Gathering[int, int]:
        cpu = Processor()
        most, at_once = (TOGETHER, SqlStore.changes_at_once) if batched else (1, CONNECTIONS)
        return Gathering(
            lambda batch: row.change(cpu, batch), size=lambda _: 1, most=most, at_once=at_once
        )

    gatherings = [gathering() for _ in range(replicas)]
    took: list[float] = []

    async def caller(number: int) -> None:
        turn = 0
        while turn < ROUNDS or now() < SECONDS:
            start = now()
            await gatherings[number % replicas].do(number)
            took.append(now() - start)
            turn += 1

    await asyncio.gather(*(caller(number) for number in range(callers)))
    middle = quantiles(took)
    rate = len(took) / now()
    return Changes(callers, batched, rate, middle["p50"], middle["p99"], len(took) / row.batches)
