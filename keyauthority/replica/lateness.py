"""Shorter leases for late verifiers: `keyauthority.coherence.allowances` has the rules."""

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
    """Marks the verifiers that slow changes down, and shortens their leases.

    The authority's own processes keep theirs: without a lease they could answer nobody.
    """

    def __init__(self, sessions: Sessions, metrics: ReplicaMetrics) -> None:
        self._sessions = sessions
        self._metrics = metrics
        self._marking: asyncio.Task[None] | None = None

    def mark(self, revision: int, lease: timedelta) -> None:
        """Marks the verifiers late that have not acknowledged *revision*. The terms say *lease*."""
        # Else the next change marks those that still are late.
        if self._marking is None or self._marking.done():
            self._marking = asyncio.create_task(self._mark(revision, lease))

    async def withdraw(self, session_id: str, caller_id: str, allowance: Allowance) -> None:
        """Ends the leases of a session that claims a state no grant had: all changes would wait for it."""
        no_lease = allowance.lease == timedelta()
        if not no_lease and await self._allow(session_id, allowance, withdrawn(allowance)):
            self._metrics.late.labels(caller_id, "nonsense").inc()
            log.warning("verifier_claims_nonsense", session=session_id, caller=caller_id)

    async def _mark(self, revision: int, lease: timedelta) -> None:
        try:
            for session in await self._sessions.all():
                if session.acknowledged < revision:
                    await self._shorten(session, lease)
        except KeyAuthorityError:
            pass  # The store logs outages; the next change marks them.
        except Exception:
            log.exception("late_verifiers_not_marked")
        # All sessions were read, and each change that waits may ask for it again.
        await asyncio.sleep(LATE)

    async def _shorten(self, session: Session, lease: timedelta) -> None:
        before = session.allowance
        # Not before an earlier, longer lease is over: the change still waits for that one.
        if not before.settled or before.lease == timedelta():
            return
        after = before if session.caller_id == REPLICA else shortened(before, lease)
        if await self._allow(session.id, before, after):
            self._metrics.late.labels(session.caller_id, "late").inc()
            log.warning(
                "verifier_late",
                session=session.id,
                caller=session.caller_id,
                name=session.name,
                lease=after.granted(lease).total_seconds(),
            )

    async def _allow(self, session_id: str, before: Allowance, after: Allowance) -> bool:
        try:
            return await self._sessions.allow(session_id, before, after, late=True)
        except KeyAuthorityError:
            return False
