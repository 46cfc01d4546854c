"""Ending what nobody ends: the sessions of silent verifiers, and the time after a restore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from keyauthority.coherence.allowances import Allowances
from keyauthority.coherence.leases import wait_out
from keyauthority.coherence.sessions import Janitor
from keyauthority.domain.books import Books
from keyauthority.domain.callers import authority
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.fencing import Unfenced
from keyauthority.domain.ports import Store
from keyauthority.domain.restoring import Restoring
from keyauthority.domain.revisions import Head
from keyauthority.domain.sessions import Session, Terms
from keyauthority.replica.metrics import ReplicaMetrics

SWEPT_EVERY: Final = 0.5
"""Seconds from one look at the sessions to the next."""

log = structlog.get_logger()


class Sweeper:
    """Looks after the sessions of the books, by its own clock alone: *now* tells its seconds."""

    def __init__(
        self, store: Store, now: Callable[[], float], metrics: ReplicaMetrics, every: float
    ) -> None:
        self._store = store
        self._restoring = Restoring(Books(store, Unfenced()))
        self._now = now
        self._metrics = metrics
        self._every = every
        self._janitor = Janitor()
        self._allowances = Allowances()
        self._settling: tuple[Head, float] | None = None

    async def run(self) -> None:
        """Makes its rounds until cancelled."""
        while True:
            try:
                await self.sweep()
            except KeyAuthorityError:
                pass  # Told elsewhere; the next round may fare better.
            except Exception:
                log.exception("not_swept")
            await asyncio.sleep(self._every)

    async def sweep(self) -> None:
        """Ends the sessions that stood still for W; raises `KeyAuthorityError`.

        Those that were granted shorter leases get the next allowance that they are due.
        """
        sessions = self._store.sessions
        there = await sessions.all()
        found = [(one.id, one.beat) for one in there]
        terms = (await sessions.standing()).terms
        # Read after the sessions: each was there at this time, or was moved since.
        now = self._now()
        for session_id, beat in self._janitor.look(found, now, wait_out(terms.longest_lease)):
            await sessions.remove(session_id, beat)
            log.info("session_removed", session=session_id)
        await self._allow(there, now, terms)
        await self._settle(terms)

    async def _allow(self, there: list[Session], now: float, terms: Terms) -> None:
        self._metrics.short_leases.set(sum(one.allowance.lease is not None for one in there))
        told = [(one.id, one.allowance, one.acknowledged > 0) for one in there]
        due = self._allowances.look(told, now, terms.lease, terms.longest_lease)
        for session_id, before, after in due:
            await self._store.sessions.allow(session_id, before, after)

    async def _settle(self, terms: Terms) -> None:
        # Whoever restored the backup waits and says so itself, unless it died meanwhile.
        if not terms.settling:
            self._settling = None
            return
        head = (await self._store.snapshot(())).head
        now = self._now()
        if self._settling is None or self._settling[0].epoch != head.epoch:
            self._settling = (head, now)
        elif now - self._settling[1] >= wait_out(terms.longest_lease):
            await self._restoring.settle(authority("sweeping"), head)
