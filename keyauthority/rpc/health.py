"""Whether the authority can do its work, for `grpc.health.v1`."""

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
"""Seconds without an answer after which the books count as unreadable: a database that is cut off
gives none for long."""

log = structlog.get_logger()


class Health:
    """Answers the same for each of *services* and the empty name: whether the books can be read.

    The package's own servicer lacks `List`, so that anybody could fill the log with failures, and its
    `Watch` never ends, so that it would hold up every stop. *can_answer* says whether the process may
    answer at all: where several share the books, under a lease.
    """

    def __init__(
        self,
        store: Store,
        services: Sequence[str],
        can_answer: Callable[[], bool],
        metrics: CallMetrics,
        every: float = CHECKED_EVERY,
        longest_look: float = LONGEST_LOOK,
    ) -> None:
        self._store = store
        self._services = ("", *services)
        self._can_answer = can_answer
        self._metrics = metrics
        self._every = every
        self._longest_look = longest_look
        self._healthy: bool | None = None
        self._status: Any = HealthCheckResponse.NOT_SERVING
        self._leaving = False
        self._changed = asyncio.Event()

    async def Check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        if request.service not in self._services:
            # As the protocol of gRPC says, without a reason of ours.
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return HealthCheckResponse(status=self._status)

    async def List(self, request: Any, context: Context) -> Any:
        answer = HealthCheckResponse(status=self._status)
        messages: Any = health_pb2  # The type stubs lack these.
        return messages.HealthListResponse(statuses=dict.fromkeys(self._services, answer))

    async def Watch(
        self, request: HealthCheckRequest, context: Context
    ) -> AsyncIterator[HealthCheckResponse]:
        last_status = None
        while True:
            changed, leaving, status = self._changed, self._leaving, self._status
            if request.service not in self._services:
                status = HealthCheckResponse.SERVICE_UNKNOWN
            if status != last_status:
                yield HealthCheckResponse(status=status)
            if leaving:
                return
            last_status = status
            await changed.wait()

    async def run(self) -> None:
        """Looks at the books again and again until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._every)

    async def look(self) -> None:
        """Looks whether the books can be read, and reports it if it changed."""
        before, self._healthy = self._healthy, await self._readable()
        if self._healthy is not before:
            log.info("health", healthy=self._healthy)
            self._metrics.healthy = self._healthy
            self.report(healthy=self._healthy)

    def report(self, *, healthy: bool) -> None:
        """Sets the answer, unless `leave` was called."""
        if not self._leaving:
            status = HealthCheckResponse.SERVING if healthy else HealthCheckResponse.NOT_SERVING
            self._status = status
            self._wake()

    def leave(self) -> None:
        """Answers NOT_SERVING from now on, and ends all watching."""
        self._status = HealthCheckResponse.NOT_SERVING
        self._leaving = True
        self._wake()

    async def _readable(self) -> bool:
        if not self._can_answer():
            return False
        reading = asyncio.ensure_future(self._store.snapshot(()))
        try:
            # Not `wait_for`: it would wait for the end of a look that is given up, and a database that
            # is cut off may be slow to end it.
            await asyncio.wait({reading}, timeout=self._longest_look)
            if not reading.done():
                return False
            reading.result()
        except KeyAuthorityError:
            return False
        except Exception:
            log.exception("health_unknown")
            return False
        finally:
            if not reading.done():
                reading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
                reading.cancel()
        return self._can_answer()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
