"""How a call to the authority can fail, in the words of the pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc
import structlog
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

_log = structlog.get_logger("console.authority")

_DETAILS: Final = "grpc-status-details-bin"
_SPREADING: Final = "REVOCATION_SPREADING"


class AuthorityError(Exception):
    """A call to the authority failed."""


class UnavailableError(AuthorityError):
    """No answer, or none of use: whether a change was made is not known. Repeating it is safe."""


class MissingError(AuthorityError):
    """There is no such key or workspace."""


class RefusedError(AuthorityError):
    """The authority says no: `reason` as in the contract, the `field` at fault if it is one."""

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field


class SpreadingError(AuthorityError):
    """The change is made and reaches the last verifier within so many `seconds`."""

    def __init__(self, seconds: str) -> None:
        super().__init__(f"in force everywhere within {seconds} s")
        self.seconds = seconds


_MISSING: Final = frozenset({"KEY_NOT_FOUND", "WORKSPACE_NOT_FOUND"})
_REFUSED: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.ABORTED,
    }
)


@contextmanager
def in_our_words() -> Iterator[None]:
    """What gRPC raises in here becomes an `AuthorityError`."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from None


def _translated(error: grpc.aio.AioRpcError) -> AuthorityError:
    info = _info(error)
    if info.reason in _MISSING:
        return MissingError(info.reason)
    if info.reason == _SPREADING:
        return SpreadingError(info.metadata["within"])
    message = error.details() or info.reason
    if info.reason and error.code() in _REFUSED:
        return RefusedError(info.reason, message, info.metadata.get("field", ""))
    # Our credential being refused is an outage of ours too, and nothing to tell a visitor of.
    _log.warning("authority call failed", code=error.code().name, reason=info.reason)
    return UnavailableError(message)


def _info(error: grpc.aio.AioRpcError) -> ErrorInfo:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            return _unpacked(value)
    return ErrorInfo()


def _unpacked(details: bytes) -> ErrorInfo:
    info = ErrorInfo()
    try:
        status = Status.FromString(details)
    except DecodeError:
        return info
    for detail in status.details:
        if detail.Unpack(info):
            break
    return info
