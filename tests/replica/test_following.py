"""The process's own session."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import boottime
from keyauthority.domain.ports import Clock
from keyauthority.domain.sessions import Claim, Grant
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.replica import Replica
from keyauthority.storage.memory import MemoryStore
from keyauthority.storage.memory.leases import MemorySessions
from tests.conformance.records import ManualClock


class CountedSessions(MemorySessions):
    """The sessions of a store, which count renewals and end the task that asks for too many."""

    renewals = 0

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        self.renewals += 1
        if self.renewals > 1_000:
            raise asyncio.CancelledError
        return await super().renew(session_id, caller_id, claim)


class CountedStore(MemoryStore):
    """A store with such sessions."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.sessions: CountedSessions = CountedSessions(self._open, clock)


async def test_others_go_on_while_it_is_renewed_out_of_memory() -> None:
    """At a stop nothing waits for changes any more, and polls have to be answered meanwhile."""
    store = CountedStore(ManualClock())
    metrics = ReplicaMetrics(CollectorRegistry())
    replica = Replica(store, alone=True, now=boottime, metrics=metrics, sweep_every=1.0)
    async with replica.running():
        replica.watch.close()
        for _ in range(10):
            await asyncio.sleep(0)

    assert store.sessions.renewals == 1
