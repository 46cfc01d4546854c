"""What becomes of sessions while nobody calls, by a clock that the test puts forward."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry

from keyauthority.coherence.allowances import PROBATION, shortened, withdrawn
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import WHOLE, Allowance, Claim
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.sweeping import Sweeper
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import ManualClock, a_caller
from tests.transactions import changing

LEASE = timedelta(seconds=3)


class Rounds:
    """A sweeper, and one verifier that calls Sync before each of its rounds."""

    def __init__(self, store: MemoryStore, session_id: str) -> None:
        self.time = 1000.0
        self.session_id = session_id
        self._store = store
        metrics = ReplicaMetrics(CollectorRegistry())
        self._sweeper = Sweeper(store, lambda: self.time, metrics, 1.0, lambda _: None)

    async def after(self, seconds: float) -> Allowance:
        """The verifier's allowance when another round was made after *seconds*."""
        self.time += seconds
        await self._store.sessions.renew(self.session_id, "caller_1", Claim(1, 1))
        await self._sweeper.sweep()
        return await self.allowance()

    async def allow(self, after: Allowance) -> None:
        assert await self._store.sessions.allow(self.session_id, await self.allowance(), after)

    async def allowance(self) -> Allowance:
        [session] = await self._store.sessions.all()
        return session.allowance


@asynccontextmanager
async def rounds() -> AsyncIterator[Rounds]:
    store = MemoryStore(ManualClock())
    async with changing(store) as tx:
        await tx.callers.insert(a_caller("caller_1"))
        await tx.feed.advance(["key_1"])
    yield Rounds(store, (await store.sessions.join("caller_1", "edge", Claim(1, 1))).session_id)


async def test_a_shorter_lease_is_settled_when_the_longer_one_is_over() -> None:
    """Not before, though the verifier renews it all the time."""
    async with rounds() as each:
        await each.allow(shortened(WHOLE, LEASE))
        assert (await each.after(0)).in_force is None
        assert (await each.after(wait_out(LEASE) - 0.01)).in_force is None
        assert (await each.after(0.02)).in_force == LEASE / 2


async def test_who_is_quick_again_has_the_whole_lease_back_after_a_while() -> None:
    """Step by step, each after a time without being late."""
    async with rounds() as each:
        await each.allow(withdrawn(WHOLE))
        await each.after(0)
        await each.after(wait_out(LEASE))
        seconds: list[float] = []
        while not seconds or seconds[-1] < LEASE.total_seconds():
            await each.after(0)
            has = await each.after(PROBATION)
            seconds.append(has.granted(LEASE).total_seconds())
        assert seconds == [0.375, 0.75, 1.5, 3.0]


async def test_being_late_begins_the_while_anew() -> None:
    """Half of it doesn't count."""
    async with rounds() as each:
        await each.allow(Allowance(LEASE / 2, LEASE / 2))
        await each.after(0)
        await each.after(PROBATION - 1)
        await each.allow(shortened(await each.allowance(), LEASE))
        assert (await each.after(PROBATION - 1)).lease == LEASE / 4
        assert (await each.after(2)).in_force == LEASE / 4
        assert (await each.after(PROBATION - 1)).lease == LEASE / 4
