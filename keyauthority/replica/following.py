"""The process's own session, which keeps its cache coherent like that of any verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import structlog

from keyauthority.coherence.cache import CoherentCache, SyncCall
from keyauthority.coherence.sessions import credited
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ports import Sessions
from keyauthority.domain.sessions import REPLICA, Claim, Grant
from keyauthority.replica.fence import SessionFence
from keyauthority.replica.watch import Watch

PAUSE: Final = 0.1
"""Seconds after a renewal that failed."""

log = structlog.get_logger()


class Following:
    """Renews the session again and again, in the books themselves."""

    def __init__(
        self,
        cache: CoherentCache[Any],
        sessions: Sessions,
        watch: Watch,
        fence: SessionFence,
        name: str,
        now: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._sessions = sessions
        self._watch = watch
        self._fence = fence
        self._name = name
        self._now = now
        self.leased = asyncio.Event()
        """Set once a first lease was granted."""

    async def run(self) -> None:
        """Renews the session until cancelled."""
        while True:
            call = self._cache.begin_sync(self._now())
            try:
                grant = await self._grant(call)
            except Exception as error:  # until a renewal succeeds, nothing is cached
                if not isinstance(error, KeyAuthorityError):
                    log.exception("lease_not_renewed")
                elif error.reason is Reason.SESSION_NOT_FOUND:
                    self._cache.session_gone(call)
                await asyncio.sleep(PAUSE)
                continue
            if not self._take(call, grant):
                await asyncio.sleep(PAUSE)
            elif Claim(grant.head.epoch, grant.head.revision) == call.claim:
                await self._watch.past(grant.head, grant.lease.total_seconds() / 3)
            # At a stop that waits for nothing, and a grant may come out of memory: others get their turn.
            await asyncio.sleep(PAUSE if self._watch.closed else 0)

    async def leave(self) -> None:
        """Ends the session, after `run` was cancelled."""
        session_id = self._cache.leave()
        if session_id:
            with suppress(KeyAuthorityError):
                await self._sessions.leave(session_id, REPLICA)

    async def _grant(self, call: SyncCall) -> Grant:
        if call.session_id:
            grant = await self._sessions.renew(call.session_id, REPLICA, call.claim)
        else:
            grant = await self._sessions.join(REPLICA, self._name, call.claim)
        self._fence.acknowledged(credited(call.claim, grant.head))
        return grant

    def _take(self, call: SyncCall, grant: Grant) -> bool:
        applied = self._cache.apply(
            call,
            grant.session_id,
            grant.head,
            grant.subjects,
            grant.lease.total_seconds(),
            foreign_secrets=grant.foreign_secrets,
        )
        if applied:
            self.leased.set()
        else:
            log.error("books_went_back", alarms=self._cache.alarms)
            # The sessions' acknowledgements are of another history: changes wait until every lease
            # that was granted in that history is over.
            self._fence.settled = self._now() + self._fence.longest_wait
        return applied
