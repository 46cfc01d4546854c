"""Three regions, one database: what a revocation and a miss take, by where the replicas are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.virtual import Processor, run
from benchmarks.scaling.world import WAIT, Books, Replica, Verifier, World

EACH: Final = 100
"""Verifiers in each region."""

NAMES: Final = ("home", "second", "third")


@dataclass(frozen=True, slots=True)
class Placement:
    """Seconds: of a revocation by the region it is called from, and of misses in the farthest region.

    `known` is a miss of a key that the replica asked has in memory, `unknown` of another.
    """

    revocations: Sequence[float]
    known: float
    unknown: float


def at_home(costs: Costs | None = None) -> Placement:
    """All replicas are beside the database; verifiers reach them over the trips."""
    costs = costs or Costs()
    trips = trips_of(costs)
    spread = run(_spread(costs, [trips[0]] * 3, trips, caller=0))
    transaction = costs.transaction(trips[0])
    revocations = [trip + transaction + spread for trip in trips]
    known = trips[2] + costs.seconds("verify_cached")
    return Placement(revocations, known, known + trips[0] + costs.seconds("verify_read"))


def everywhere(costs: Costs | None = None) -> Placement:
    """Each region has a replica, which reaches the database over the trips."""
    costs = costs or Costs()
    trips = trips_of(costs)
    revocations = []
    for caller, trip in enumerate(trips):
        spread = run(_spread(costs, trips, [trips[0]] * 3, caller=caller))
        revocations.append(trips[0] + costs.transaction(trip) + spread)
    known = trips[0] + costs.seconds("verify_cached")
    return Placement(revocations, known, known + trips[2] + costs.seconds("verify_read"))


def trips_of(costs: Costs) -> list[float]:
    """Returns the round trips from the home region to each region, in seconds."""
    return [costs.seconds(name) for name in ("trip_zone", "trip_near", "trip_far")]


async def _spread(
    costs: Costs, replica_trips: Sequence[float], verifier_trips: Sequence[float], caller: int
) -> float:
    # From the commit to the receipt.
    books = Books(costs)
    replicas = [Replica(books, trip) for trip in replica_trips]
    verifiers = [
        Verifier(f"{name}{number}", replica, trip, Processor())
        for name, replica, trip in zip(NAMES, replicas, verifier_trips, strict=True)
        for number in range(EACH)
    ]
    world = World(replicas, verifiers)
    await world.settle(WAIT)
    seconds, _ = await world.change(replicas[caller])
    return seconds
