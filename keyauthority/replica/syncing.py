"""Granting leases: the authority's side of Sync."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

from keyauthority.coherence.sessions import credited, resets
from keyauthority.domain import limits
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid
from keyauthority.domain.ports import Sessions
from keyauthority.domain.sessions import Claim, Grant
from keyauthority.replica.fence import SessionFence
from keyauthority.replica.lateness import Lateness
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.watch import Watch

MOST_JOINING: Final = 1_000
"""Joins under way at a time: more would wait for longer than their callers do."""

WITHOUT_LEASE: Final = timedelta(seconds=1)
"""The longest that the poll of a verifier without a lease is held."""


class Syncing:
    """Holds the polls of verifiers until there is a change."""

    def __init__(
        self,
        sessions: Sessions,
        watch: Watch,
        fence: SessionFence,
        lateness: Lateness,
        metrics: ReplicaMetrics,
    ) -> None:
        self._sessions = sessions
        self._watch = watch
        self._fence = fence
        self._lateness = lateness
        self._metrics = metrics
        self._closed = False
        self._under_way = 0
        self._joining = 0
        self._idle = asyncio.Event()

    async def sync(
        self, caller_id: str, session_id: str, name: str, claim: Claim, wait: timedelta
    ) -> Grant:
        """Returns a lease for the caller's session, which is new if *session_id* is empty.

        Notes *claim* in the books; if there is no change since, waits up to *wait* for one.
        Raises `KeyAuthorityError`: `FIELD_INVALID`, `SESSION_NOT_FOUND`, `TOO_MANY_SESSIONS`,
        `OVERLOADED`, `CREDENTIAL_INVALID` if the caller was revoked meanwhile, `SHUTTING_DOWN`.
        """
        self._check_open()
        _check(claim, wait)
        self._under_way += 1
        try:
            if session_id:
                return await self._held(session_id, caller_id, claim, wait)
            return await self._join(caller_id, limits.printable(name, "name"), claim)
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()

    async def leave(self, caller_id: str, session_id: str) -> None:
        """Ends the caller's session."""
        await self._sessions.leave(session_id, caller_id)
        self._fence.session_ended()

    async def close(self) -> None:
        """Grants nothing from now on, and returns when the held polls are answered."""
        self._closed = True
        self._watch.close()
        while self._under_way:
            self._idle.clear()
            await self._idle.wait()

    async def _join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        if self._joining >= MOST_JOINING:
            raise KeyAuthorityError(Reason.OVERLOADED, "too many verifiers join at the same time")
        self._joining += 1
        try:
            return await self._sessions.join(caller_id, name, claim)
        finally:
            self._joining -= 1

    async def _held(self, session_id: str, caller_id: str, claim: Claim, wait: timedelta) -> Grant:
        grant = await self._renew(session_id, caller_id, claim)
        if not _is_news(grant, claim) and await self._past(grant, wait):
            self._check_open()
            grant = await self._renew(session_id, caller_id, claim)
        return grant

    async def _renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        grant = await self._sessions.renew(session_id, caller_id, claim)
        self._metrics.grants.inc()
        self._fence.acknowledged(credited(claim, grant.head))
        if not resets(claim, grant.head):
            return grant
        # No grant had the state that the session claims.
        await self._lateness.withdraw(session_id, caller_id, grant.allowance)
        return replace(grant, lease=timedelta())

    async def _past(self, grant: Grant, wait: timedelta) -> bool:
        # The lease granted before the wait runs from when the verifier sent its request: a change that
        # is committed during the wait finds the session behind.
        with self._metrics.syncs_held.track_inprogress():
            longest = min(wait, grant.lease / 3 or WITHOUT_LEASE)
            return await self._watch.past(grant.head, longest.total_seconds())

    def _check_open(self) -> None:
        if self._closed:
            raise KeyAuthorityError(Reason.SHUTTING_DOWN, "the authority is stopping")


def _is_news(grant: Grant, claim: Claim) -> bool:
    return grant.subjects is None or Claim(grant.head.epoch, grant.head.revision) != claim


def _check(claim: Claim, wait: timedelta) -> None:
    if claim.epoch < 0 or claim.revision < 0:
        raise invalid("revision" if claim.revision < 0 else "epoch", "is negative")
    if wait < timedelta():
        raise invalid("wait", "is negative")
