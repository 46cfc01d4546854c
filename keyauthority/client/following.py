"""Keeping a verifier's cache coherent: one Sync after the other, for as long as it lives."""

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
"""Seconds: the deadline of a join, doubled each time that it was too short.

Where very many join at once, each with the same deadline, none might be answered in time.
"""

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
CROWDED_PAUSE: Final = 4.0
"""Seconds: what is waited after a Sync that failed, doubled each time; the last one where the
authority says that it has too many of them."""

TRANSIT: Final = 0.3
"""Seconds that a Sync has at least to get there and back, beside its wait."""

WITHOUT_LEASE: Final = 0.5
"""Seconds that a Sync waits for changes where no lease is granted."""

SHORTEST: Final = 0.05
"""Seconds from one Sync to the next at least, when there was nothing to tell."""

log = logging.getLogger("keyauthority.client")

_REFUSED: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
# The authority notices a deadline as well, and may be the first.
_TOO_LATE: Final = frozenset({grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})

OnChange = Callable[[frozenset[str] | None], None]


class Following:
    """The verifier's side of the session.

    Args:
        cache: What is kept coherent.
        stub: The authority.
        metadata: The verifier's credential.
        name: What the verifier calls itself.
        on_change: Called with the ids of what changed, once that is dropped; None: everything.
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
        self._told = True
        self.heard = now()
        """When the newest reply that counted was asked for."""

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
            except Exception:  # whatever it is, the next one may fare better
                log.exception("a Sync failed")
                taken = False
            if taken:
                pause = FIRST_PAUSE
                await asyncio.sleep(self._rest(call))
                continue
            # To be told at once, while the lease lasts; but not all at the same time, when many lost
            # the same authority.
            self._wait = 0.0
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, self._longest_pause)

    async def leave(self) -> None:
        """Ends the session, so that no change waits for it. `run` was cancelled before."""
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
            log.error("the authority is behind what it said before: was it restored?")
            return False
        self.heard = call.sent
        self._join_timeout = JOIN_TIMEOUT
        # So that two in a row may be lost before the lease is.
        self._wait = lease / 4 or WITHOUT_LEASE
        self._timeout = max(lease / 3, self._wait + TRANSIT)
        self._told = not call.session_id or subjects is None or bool(subjects)
        if subjects is None or subjects:
            self._on_change(subjects)
        return True

    def _rest(self, call: SyncCall) -> float:
        # An acknowledgement is due at once. Else the authority may hold the poll as short as a lease
        # is: that must not become a spin.
        return 0.0 if self._told else max(call.sent + SHORTEST - self._now(), 0.0)

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
