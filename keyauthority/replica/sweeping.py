"""Ends the sessions of silent verifiers, and the settling after a restore."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from keyauthority.coherence.allowances import Allowances
from keyauthority.coherence.leases import wait_out
from keyauthority.coherence.sessions import Janitor
from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import authority
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.domain.restoring import Restoring
from keyauthority.domain.sessions import Head, Session, Terms
from keyauthority.replica.metrics import ReplicaMetrics

SWEPT_EVERY: Final = 0.5
"""Seconds from one look at the sessions to the next."""

log = structlog.get_logger()


class Sweeper:
    """Looks after the sessions in the books, by its own clock *now* alone."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], float],
        metrics: ReplicaMetrics,
        every: float,
        removed: Callable[[int], None],
    ) -> None:
        self._store = store
        self._restoring = Restoring(Books(store, Unfenced()))
        self._now = now
        self._metrics = metrics
        self._every = every
        self._removed = removed
        self._janitor = Janitor()
        self._allowances = Allowances()
        self._settling: tuple[Head, float] | None = None

    async def run(self) -> None:
        """Makes its rounds until cancelled."""
        while True:
            try:
                await self.sweep()
            except KeyAuthorityError:
                pass  # The store logs outages; the next round tries again.
            except Exception:
                log.exception("not_swept")
            await asyncio.sleep(self._every)

    async def sweep(self) -> None:
        """Ends the sessions that stood still for W, and raises the allowances that are due.

        Raises `KeyAuthorityError`.
        """
        sessions = await self._store.sessions.all()
        terms = (await self._store.sessions.standing()).terms
        # Read after the sessions, as janitor and allowances need it.
        now = self._now()
        beats = [(session.id, session.beat) for session in sessions]
        acknowledged = {session.id: session.acknowledged for session in sessions}
        for session_id, beat in self._janitor.look(beats, now, wait_out(terms.longest_lease)):
            if await self._store.sessions.remove(session_id, beat):
                self._removed(acknowledged[session_id])
                log.info("session_removed", session=session_id)
        await self._allow(sessions, now, terms)
        await self._settle(terms)

    async def _allow(self, sessions: list[Session], now: float, terms: Terms) -> None:
        short = [session for session in sessions if session.allowance.lease is not None]
        self._metrics.short_leases.set(len(short))
        allowances = [
            (session.id, session.allowance, session.acknowledged > 0) for session in short
        ]
        due = self._allowances.look(allowances, now, terms.lease, terms.longest_lease)
        for session_id, before, after in due:
            await self._store.sessions.allow(session_id, before, after)

    async def _settle(self, terms: Terms) -> None:
        # The restore itself waits and ends the settling, unless it died meanwhile.
        if not terms.settling:
            self._settling = None
            return
        head = (await self._store.snapshot(())).head
        now = self._now()
        if self._settling is None or self._settling[0].epoch != head.epoch:
            self._settling = (head, now)
        elif now - self._settling[1] >= wait_out(terms.longest_lease):
            await self._restoring.settle(authority("sweeping"), head)
