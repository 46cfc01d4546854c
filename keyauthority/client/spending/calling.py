"""Single calls of `SpendingService`, counted and timed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import grpc

from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.messages import Encoded
from keyauthority.client.verifier import Connection
from keyauthority.v1 import spending_service_pb2 as v1
from keyauthority.v1.spending_service_pb2_grpc import SpendingServiceStub

if TYPE_CHECKING:
    from keyauthority.v1.spending_service_pb2_grpc import SpendingServiceAsyncStub

# The requests come encoded.
_SETTLE: Final = "/keyauthority.v1.SpendingService/Settle"

LONGEST: Final = 8.0
"""Seconds: the deadline of a call, doubled after each that was too short."""


class CallFailed(Exception):  # noqa: N818 - whoever makes the call knows what follows
    """The call has no answer, though it may have arrived.

    Args:
        reason: The status, or what it was instead.
        status: None if there is none.
    """

    def __init__(self, reason: str, status: grpc.StatusCode | None = None) -> None:
        super().__init__(reason)
        self.status = status

    @property
    def was_invalid(self) -> bool:
        """Whether it never will have one: the authority refuses its content."""
        return self.status is grpc.StatusCode.INVALID_ARGUMENT

    @property
    def was_slow(self) -> bool:
        """Whether its time was up."""
        return self.status is grpc.StatusCode.DEADLINE_EXCEEDED


class Calling:
    """Calls by *connection*, each answered within *timeout* seconds, or a multiple if it is slow."""

    def __init__(self, connection: Connection, timeout: float, counters: Counters) -> None:
        self._stub: SpendingServiceAsyncStub = SpendingServiceStub(connection.channel)
        self._settle: grpc.aio.UnaryUnaryMultiCallable[bytes, v1.SettleResponse] = (
            connection.channel.unary_unary(
                _SETTLE, response_deserializer=v1.SettleResponse.FromString
            )
        )
        self._metadata = connection.metadata
        self._shortest = self._timeout = timeout
        self._counters = counters

    async def settle(self, request: Encoded) -> v1.SettleResponse:
        """Returns the answer. Raises `CallFailed`: it may have arrived all the same."""
        begun, timeout = time.monotonic(), self._timeout
        try:
            reply = await self._settle(request.content, timeout=timeout, metadata=self._metadata)
            _check(request, reply)
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            raise self._failed(error, timeout) from None
        self._timeout = self._shortest
        self._counters.calls += 1
        self._counters.call_seconds += time.monotonic() - begun
        return reply

    async def available(self, workspace_id: str) -> int:
        """Returns the nano-credits of a workspace that are available. Raises `CallFailed`."""
        request = v1.GetAvailableRequest(workspace_id=workspace_id)
        try:
            reply = await self._stub.GetAvailable(
                request, timeout=self._shortest, metadata=self._metadata
            )
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            raise _failure(error) from None
        return reply.available_nano_credits

    async def prices(self) -> v1.ListCurrentPricesResponse:
        """Returns the price table. Raises `CallFailed`."""
        try:
            return await self._stub.ListCurrentPrices(
                v1.ListCurrentPricesRequest(), timeout=self._shortest, metadata=self._metadata
            )
        except (grpc.RpcError, grpc.aio.BaseError) as error:
            raise _failure(error) from None

    def _failed(self, error: Exception, timeout: float) -> CallFailed:
        self._counters.failed_calls += 1
        failure = _failure(error)
        if failure.was_slow and timeout == self._timeout:
            # A long list of charges takes its time: the same deadline again would be too short again.
            # Of calls that were under way together, one says so.
            self._timeout = min(2 * self._timeout, LONGEST)
        return failure


def _failure(error: Exception) -> CallFailed:
    # The status alone: the authority's sentence is not for this log.
    if isinstance(error, grpc.aio.AioRpcError):
        return CallFailed(error.code().name, error.code())
    return CallFailed(type(error).__name__)


def _check(request: Encoded, reply: v1.SettleResponse) -> None:
    slices = len(reply.slices) == request.slices or reply.session_over
    if len(reply.charges) != request.charges or not slices:
        raise grpc.aio.InternalError("the authority answers another call")
