"""Seeded bugs of leases, and of the fence that waits for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from keyauthority.coherence.cache import CoherentCache, SyncCall
from keyauthority.coherence.fence import Fence
from keyauthority.domain.sessions import Counts, Grant
from tests.coherence import scenarios
from tests.coherence.seeded.seeding import Bug, breaks
from tests.coherence.world import (
    Answer,
    Books,
    Cache,
    World,
)

# --- leases


@breaks("a lease runs from when its request was sent", scenarios.LEASE)
class LeaseFromReceipt(Bug):
    def take(self, cache_now: Cache, call: SyncCall, grant: Grant, now: float) -> None:
        super().take(cache_now, replace(call, sent=now), grant, now)


class _Unleased(CoherentCache[Answer]):
    def get(self, digest: bytes, now: float) -> Answer | None:
        return self.entries.find(digest)


@breaks("the lease is checked at every hit", scenarios.LEASE)
class NoLeaseCheck(Bug):
    cache_type = _Unleased


@breaks("W outlasts a lease by another clock", scenarios.LEASE)
class WaitWithoutDrift(Bug):
    class fence_type(Fence):  # noqa: N801
        def over(self, longest_lease: timedelta) -> float:
            return max(self._committed + longest_lease.total_seconds(), self._settled)


@breaks("the fence reads the longest lease ever granted", scenarios.SHRINKING)
class CurrentLease(Bug):
    def longest(self, books: Books) -> float:
        return books.lease


# --- the fence


@breaks("a change waits at all", scenarios.LEASE)
class NoFence(Bug):
    def fence(
        self, world: World, process: int, revision: int, version: int, committed: float
    ) -> World:
        return world._replace(returned=max(world.returned, version))


@breaks("the fence counts from after the commit", scenarios.COMMITS)
class TimeBeforeCommit(Bug):
    def committed(self, world: World, process: int, began: float) -> float:
        return began


@breaks("a repeat that changes nothing waits too", scenarios.REPEAT, scenarios.UNANSWERED)
class RepeatAtOnce(Bug):
    def repeat(self, world: World, process: int, version: int) -> World:
        return world._replace(returned=max(world.returned, version))


@breaks("every session has to acknowledge, not any", scenarios.PAIR)
class AnySession(Bug):
    class fence_type(Fence):  # noqa: N801
        def look(self, counts: Counts, now: float) -> bool:
            behind = 0 if counts.acknowledged else counts.behind
            return super().look(replace(counts, behind=behind), now)
