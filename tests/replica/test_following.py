"""The process's own session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import boottime
from keyauthority.domain.sessions import Grant
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.replica import Replica
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import ManualClock


async def test_others_go_on_while_it_is_renewed_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a stop nothing waits for changes any more, and polls have to be answered meanwhile."""
    store = MemoryStore(ManualClock())
    renew, renewals = store.sessions.renew, 0

    async def counted(*arguments: Any) -> Grant:
        nonlocal renewals
        renewals += 1
        if renewals > 1_000:
            raise asyncio.CancelledError
        return await renew(*arguments)

    monkeypatch.setattr(store.sessions, "renew", counted)
    metrics = ReplicaMetrics(CollectorRegistry())
    replica = Replica(store, alone=True, now=boottime, metrics=metrics, sweep_every=1.0)
    async with replica.running():
        replica.watch.close()
        for _ in range(10):
            await asyncio.sleep(0)

    assert renewals == 1
