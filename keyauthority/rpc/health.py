"""Health (`grpc.health.v1`): one answer for the authority and each of its services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from keyauthority.rpc.call import Context


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
