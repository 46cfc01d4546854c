"""Keeps a verifier's cache coherent: one Sync after the other, for as long as the verifier lives."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import grpc

from keyauthority.client.verification import Verification
from keyauthority.coherence.cache import CoherentCache, SyncCall
from keyauthority.domain.sessions import Head
from keyauthority.v1.verification_service_pb2 import LeaveRequest, SyncRequest, SyncResponse

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

JOIN_TIMEOUT: Final = 2.0
LONGEST_JOIN: Final = 8.0
"""Seconds: the deadline of a join, doubled after each that was too short. If very many join at once,
each with the same deadline, the authority might answer none in time."""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
CROWDED_PAUSE: Final = 4.0
"""Seconds: the pause after a Sync that failed, doubled each time up to the longest; up to the last if
the authority says that it has too many Syncs."""

TRANSIT: Final = 0.3
"""Seconds that a Sync has at least for both ways, beside its wait."""

WITHOUT_LEASE: Final = 0.5
"""Seconds that a Sync waits for changes if no lease is granted."""

SHORTEST: Final = 0.05
"""Seconds from one Sync to the next at least, if the first brought no change."""

log = logging.getLogger("keyauthority.client")

_REFUSED: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
# The authority notices a deadline too, and may be the first.
_TOO_LATE: Final = frozenset({grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})

OnChange = Callable[[frozenset[str] | None], None]


class Following:
    """The verifier's side of the session.

    Args:
        cache: What is kept coherent.
        stub: The authority.
        metadata: The verifier's credential.
        name: The verifier's name in the list of sessions.
        on_change: Called with the ids of what changed, after their verdicts are dropped; with None
            after all verdicts are.
        now: The clock of the lease.
    """

    def __init__(
        self,
        cache: CoherentCache[Verification],
        stub: VerificationServiceAsyncStub,
        metadata: tuple[tuple[str, str], ...],
        name: str,
        on_change: OnChange,
        now: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._stub = stub
        self._metadata = metadata
        self._name = name
        self._on_change = on_change
        self._now = now
        self._wait = 0.0
        self._timeout = JOIN_TIMEOUT
        self._join_timeout = JOIN_TIMEOUT
        self._longest_pause = LONGEST_PAUSE
        self._acknowledge = True
        self.heard = now()
        """When the call was sent whose reply was taken last."""

    async def run(self) -> None:
        """Follows until cancelled."""
        pause = FIRST_PAUSE
        while True:
            call = self._cache.begin_sync(self._now())
            try:
                taken = self._take(call, await self._sync(call))
            except grpc.RpcError as error:
                self._failed(call, error)
                taken = False
            except Exception:  # the next Sync may succeed, whatever it was
                log.exception("sync_failed")
                taken = False
            if taken:
                pause = FIRST_PAUSE
                await asyncio.sleep(self._rest(call))
                continue
            # The next Sync is to be answered at once, while the lease lasts. Of many verifiers that
            # lost the same authority, not all call at the same moment.
            self._wait = 0.0
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, self._longest_pause)

    async def leave(self) -> None:
        """Ends the session, so that no change waits for it. `run` has been cancelled before."""
        session_id = self._cache.leave()
        if session_id:
            with suppress(grpc.RpcError, grpc.aio.BaseError):
                await self._stub.Leave(
                    LeaveRequest(session_id=session_id), timeout=0.5, metadata=self._metadata
                )

    async def _sync(self, call: SyncCall) -> SyncResponse:
        request = SyncRequest(
            session_id=call.session_id, epoch=call.claim.epoch, revision=call.claim.revision
        )
        if call.session_id:
            request.wait.FromTimedelta(timedelta(seconds=self._wait))
        else:
            request.name = self._name
        timeout = self._timeout if call.session_id else self._join_timeout
        return await self._stub.Sync(request, timeout=timeout, metadata=self._metadata)

    def _take(self, call: SyncCall, reply: SyncResponse) -> bool:
        lease = reply.lease.seconds + reply.lease.nanos / 1e9
        head = Head(reply.epoch, reply.revision)
        alarms = self._cache.alarms
        everything = reply.reset or head.epoch != call.claim.epoch
        subjects = None if everything else frozenset(reply.subjects)
        if not self._cache.apply(
            call,
            reply.session_id,
            head,
            subjects,
            lease,
            foreign_secrets=reply.foreign_secrets,
        ):
            log.error("books_went_back")
            if self._cache.alarms > alarms:
                self._on_change(None)
            return False
        self.heard = call.sent
        self._join_timeout = JOIN_TIMEOUT
        # Two Syncs in a row may fail before the lease is over.
        self._wait = lease / 4 or WITHOUT_LEASE
        self._timeout = max(lease / 3, self._wait + TRANSIT)
        self._acknowledge = not call.session_id or subjects is None or bool(subjects)
        if subjects is None or subjects:
            self._on_change(subjects)
        return True

    def _rest(self, call: SyncCall) -> float:
        # An acknowledgement is due at once. Without one, a very short lease must not become a spin.
        return 0.0 if self._acknowledge else max(call.sent + SHORTEST - self._now(), 0.0)

    def _failed(self, call: SyncCall, error: grpc.RpcError) -> None:
        code = error.code() if isinstance(error, grpc.aio.AioRpcError) else None
        crowded = code is grpc.StatusCode.RESOURCE_EXHAUSTED
        self._longest_pause = CROWDED_PAUSE if crowded else LONGEST_PAUSE
        if code in _TOO_LATE and not call.session_id:
            self._join_timeout = min(2 * self._join_timeout, LONGEST_JOIN)
        if code is grpc.StatusCode.NOT_FOUND:
            self._cache.session_gone(call)
        elif code in _REFUSED:
            self._cache.lose_lease()
