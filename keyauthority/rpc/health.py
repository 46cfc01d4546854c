"""Whether the authority can do its work, told to whoever asks `grpc.health.v1`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.rpc.call import Context
from keyauthority.rpc.metrics import CallMetrics

CHECKED_EVERY: Final = 1.0
"""Seconds from one look at the books to the next."""

LONGEST_LOOK: Final = 2.0
"""Seconds after which books that give no answer count as unreadable: a database that is cut off
gives none for long."""

log = structlog.get_logger()


class HealthServicer:
    """Tells all of *services*, and the empty name, the same.

    The package's own lacks `List`, which would let anybody fill the log with its failure, and its
    `Watch` never ends, which would hold up every stop.
    """

    def __init__(self, services: Sequence[str]) -> None:
        self._services = ("", *services)
        self._status: Any = HealthCheckResponse.NOT_SERVING
        self._leaving = False
        self._changed = asyncio.Event()

    def tell(self, *, healthy: bool) -> None:
        """Sets the answer; without effect once `leave` was called."""
        if not self._leaving:
            self._status = (
                HealthCheckResponse.SERVING if healthy else HealthCheckResponse.NOT_SERVING
            )
            self._wake()

    def leave(self) -> None:
        """Answers NOT_SERVING from now on, and ends the streams of who watches."""
        self.tell(healthy=False)
        self._leaving = True
        self._wake()

    async def Check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        if request.service not in self._services:
            # As the protocol has it: this service is gRPC's own and knows none of our reasons.
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=self._status)

    async def List(self, request: Any, context: Context) -> Any:
        answer = HealthCheckResponse(status=self._status)
        messages: Any = health_pb2  # The type stubs lack these.
        return messages.HealthListResponse(statuses=dict.fromkeys(self._services, answer))

    async def Watch(
        self, request: HealthCheckRequest, context: Context
    ) -> AsyncIterator[HealthCheckResponse]:
        told = None
        while True:
            changed, leaving, status = self._changed, self._leaving, self._status
            if request.service not in self._services:
                status = HealthCheckResponse.SERVICE_UNKNOWN
            if status != told:
                yield HealthCheckResponse(status=status)
            if leaving:
                return
            told = status
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class Health:
    """Answers for every service, and for all of them under the empty name."""

    def __init__(
        self,
        store: Store,
        services: Sequence[str],
        can_answer: Callable[[], bool],
        metrics: CallMetrics,
        every: float = CHECKED_EVERY,
        longest_look: float = LONGEST_LOOK,
    ) -> None:
        self._can_answer = can_answer
        self.servicer = HealthServicer(services)
        self._store = store
        self._metrics = metrics
        self._every = every
        self._longest_look = longest_look
        self._healthy: bool | None = None

    async def watch(self) -> None:
        """Looks at the books until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Looks at the books and says whether verdicts can be given from them.

        Where several processes share them, that takes a lease beside.
        """
        before, self._healthy = self._healthy, await self._readable()
        if self._healthy is not before:
            log.info("health", healthy=self._healthy)
            self._metrics.healthy = self._healthy
            self.servicer.tell(healthy=self._healthy)

    async def _readable(self) -> bool:
        if not self._can_answer():
            return False
        try:
            if not await self._read():
                return False
        except KeyAuthorityError:
            return False
        except Exception:  # whatever it is, this is not health
            log.exception("health_unknown")
            return False
        return self._can_answer()

    async def _read(self) -> bool:
        # Whether there was an answer in time. A look that is given up may take long to end: it has
        # to tell a database that doesn't answer.
        reading = asyncio.ensure_future(self._store.snapshot(()))
        try:
            await asyncio.wait({reading}, timeout=self._longest_look)
        finally:
            if not reading.done():
                reading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                reading.cancel()
        if not reading.done():
            return False
        reading.result()
        return True
