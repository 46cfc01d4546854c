"""Whether the authority can do its work, told to whoever asks `grpc.health.v1`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import structlog
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.rpc import metrics

CHECKED_EVERY: Final = 2.0
"""Seconds from one look at the books to the next."""

log = structlog.get_logger()


class _Servicer(aio.HealthServicer):
    # The package leaves List out, and its types do too. An open method that fails would let
    # anybody fill the log.

    async def List(self, request: Any, context: object) -> Any:  # noqa: N802  # the contract's name
        messages: Any = health_pb2
        known: Any = self._server_status  # type: ignore[attr-defined]
        statuses = {name: HealthCheckResponse(status=status) for name, status in known.items()}
        return messages.HealthListResponse(statuses=statuses)


class Health:
    """Answers for every service, and for all of them under the empty name."""

    def __init__(self, store: Store, services: Sequence[str]) -> None:
        self.servicer = _Servicer()
        self._store = store
        self._services = ("", *services)

    async def watch(self) -> None:
        """Looks at the books until cancelled."""
        healthy = None
        while True:
            before, healthy = healthy, await self._readable()
            if healthy is not before:
                log.info("health", healthy=healthy)
                await self._tell(healthy=healthy)
            await asyncio.sleep(CHECKED_EVERY)

    async def leave(self) -> None:
        """Says that the authority is stopping; nothing takes that back."""
        await self.servicer.enter_graceful_shutdown()

    async def _readable(self) -> bool:
        try:
            await self._store.snapshot(())
        except KeyAuthorityError:
            return False
        return True

    async def _tell(self, *, healthy: bool) -> None:
        metrics.HEALTHY.set(healthy)
        status = HealthCheckResponse.SERVING if healthy else HealthCheckResponse.NOT_SERVING
        for service in self._services:
            await self.servicer.set(service, status)
