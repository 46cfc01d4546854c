"""Shorter leases for those that changes wait for. See `keyauthority.coherence.allowances`."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from keyauthority.coherence.allowances import LATE, shortened, withdrawn
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Sessions
from keyauthority.domain.sessions import REPLICA, Allowance, Session
from keyauthority.replica.metrics import ReplicaMetrics

log = structlog.get_logger()


class Lateness:
    """Says who slows changes down, and gives it shorter leases.

    Not the processes of the authority itself: without a lease they could answer nobody.
    """

    def __init__(self, sessions: Sessions, metrics: ReplicaMetrics) -> None:
        self._sessions = sessions
        self._metrics = metrics
        self._marking: set[asyncio.Task[None]] = set()

    def of(self, revision: int, lease: timedelta) -> None:
        """Whoever has not acknowledged *revision* by now is late. The terms say *lease*."""
        if self._marking:
            return  # The next change finds late whoever still is.
        marking = asyncio.create_task(self._mark(revision, lease))
        self._marking.add(marking)
        marking.add_done_callback(self._marking.discard)

    async def withdraw(self, session_id: str, caller_id: str, allowance: Allowance) -> None:
        """A session claims what it can't have been told, so that every change would wait for it."""
        if allowance.lease != timedelta() and await self._allow(
            session_id, allowance, withdrawn(allowance)
        ):
            self._metrics.late.labels(caller_id, "nonsense").inc()
            log.warning("verifier_claims_nonsense", session=session_id, caller=caller_id)

    async def _mark(self, revision: int, lease: timedelta) -> None:
        try:
            for one in await self._sessions.all():
                if one.acknowledged < revision:
                    await self._late(one, lease)
        except KeyAuthorityError:
            pass  # Told elsewhere; the next change finds them late again.
        except Exception:
            log.exception("late_verifiers_not_marked")
        # All sessions are read for it, and every change that waits may ask for it.
        await asyncio.sleep(LATE)

    async def _late(self, one: Session, lease: timedelta) -> None:
        before = one.allowance
        # Until the longer lease is over, it is still that one which the change waits for.
        if not before.settled or before.lease == timedelta():
            return
        after = before if one.caller_id == REPLICA else shortened(before, lease)
        if await self._allow(one.id, before, after):
            self._metrics.late.labels(one.caller_id, "late").inc()
            log.warning(
                "verifier_late",
                session=one.id,
                caller=one.caller_id,
                name=one.name,
                lease=after.granted(lease).total_seconds(),
            )

    async def _allow(self, session_id: str, before: Allowance, after: Allowance) -> bool:
        try:
            return await self._sessions.allow(session_id, before, after, late=True)
        except KeyAuthorityError:
            return False
