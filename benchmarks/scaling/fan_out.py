"""How long a revocation takes with more and more verifiers, and what their idle polls cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.virtual import Processor, run
from benchmarks.scaling.world import WAIT, Books, Replica, Verifier, World

IDLE: Final = 2 * WAIT
"""Seconds of idling that are looked at: two polls of each verifier."""


@dataclass(frozen=True, slots=True)
class FanOut:
    """What so many verifiers cost. Times in seconds, CPU in cores of the busiest of its kind."""

    verifiers: int
    replicas: int
    revocation: float
    waited_out: int
    replica_cpu: float
    database_cpu: float
    leased: float


def fan_out(
    verifiers: int, replicas: int, costs: Costs | None = None, *, one_machine: bool = False
) -> FanOut:
    """Simulates one revocation; 0 *replicas* is the one process on SQLite.

    On *one_machine* all verifiers share a core, as in `make bench`; else each has its own.
    """
    return run(_fan_out(verifiers, replicas, costs or Costs(), one_machine=one_machine))


async def _fan_out(verifiers: int, replicas: int, costs: Costs, *, one_machine: bool) -> FanOut:
    books = Books(costs, local=not replicas)
    trip = 0.0 if one_machine or not replicas else costs.seconds("trip_zone")
    away = 0.0 if one_machine else costs.seconds("trip_zone")
    shared = Processor(2 if replicas else 1) if one_machine else None
    mine = shared if replicas else None
    parts = [Replica(books, trip, mine) for _ in range(replicas or 1)]
    if shared is not None and replicas:
        books.machine = shared
    others = [
        Verifier(f"verifier{number}", parts[number % len(parts)], away, shared or Processor())
        for number in range(verifiers)
    ]
    world = World(parts, others)
    await world.settle(WAIT)
    before = [one.cpu.busy for one in parts], books.machine.busy
    await asyncio.sleep(IDLE)
    replica_cpu = max(one.cpu.busy - was for one, was in zip(parts, before[0], strict=True)) / IDLE
    database_cpu = (books.machine.busy - before[1]) / IDLE
    leased = world.leased()
    seconds, behind = await world.change(parts[0])
    return FanOut(verifiers, replicas, seconds, behind, replica_cpu, database_cpu, leased)
