"""How a call to one of several replicas may be made again, and when.

A call that only reads is asked of another replica when the first fails, or is slow while another is
well. A call that keeps a session goes to one replica; its caller makes the next call. A change is sent
once, to a replica that has just said that it is well: whoever sends a change twice may make it twice.
`Settle` is the exception: what it brings is known by names and numbers, so it is asked as what only reads.
"""

from __future__ import annotations

import enum
import math
import time
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keyauthority.domain.errors import Reason
from keyauthority.v1.wire import ERROR_DETAILS

HEALTH: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = b"\x08\x01"
"""The answer of a replica that is well to `HEALTH`, as the bytes of the message."""

MOST: Final = 4
"""Replicas that one call is asked of."""

LONGEST_SHARE: Final = 1.0
"""Seconds after which another replica is asked beside the first, however long the deadline."""

SHORTEST: Final = 0.01
"""Seconds: with less time left no other replica is asked."""

CHECKED_WITHIN: Final = 0.5
"""Seconds in which a replica has to say that it is well, before a change is sent to another."""

_REPEATABLE: Final = frozenset({"Settle"})
_KEEPING: Final = frozenset({"Sync", "Leave"})
_OF_THE_QUESTION: Final = (Reason.KEYRING_MISMATCH.name, Reason.REVISION_NOT_REACHED.name)
_SICK: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class Kind(enum.Enum):
    """What a method does."""

    READS = enum.auto()
    """It changes nothing, or nothing twice."""
    KEEPS_SESSION = enum.auto()
    CHANGES = enum.auto()


def kind(path: str) -> Kind:
    """Returns what the method at `/package.Service/Method` does, by its contract.

    A method without a contract changes something. So does `Check`: asked of a replica that is well,
    it answers whether any is.
    """
    service, _, name = path.lstrip("/").partition("/")
    if name in _KEEPING:
        return Kind.KEEPS_SESSION
    if name in _REPEATABLE:
        return Kind.READS
    try:
        method = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return Kind.CHANGES
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return Kind.READS if reads else Kind.CHANGES


def deadline(timeout: float | None) -> float:
    """Returns the end of a call that may take *timeout* seconds; None means for ever."""
    return math.inf if timeout is None else time.monotonic() + timeout


def left(until: float) -> float | None:
    """Returns the seconds left *until* then, as gRPC takes them."""
    return None if until == math.inf else max(until - time.monotonic(), 0.0)


def share(until: float, replicas: int) -> float:
    """Returns the seconds that the first of *replicas* has alone, of a call that lasts *until*."""
    return min(LONGEST_SHARE, (until - time.monotonic()) / (replicas + 1))


def error_info(error: Any) -> ErrorInfo | None:
    """Returns the authority's `ErrorInfo` (AIP-193); None if *error* is gRPC's own."""
    trailing: Any = getattr(error, "trailing_metadata", tuple)()
    details = next((value for name, value in trailing or () if name == ERROR_DETAILS), None)
    if details is None:
        return None
    try:
        status = Status.FromString(details)
    except DecodeError:
        return None
    info = ErrorInfo()
    return info if any(detail.Unpack(info) for detail in status.details) else None


def is_of_the_question(error: grpc.RpcError) -> bool:
    """Returns whether *error* is about what was asked, and says nothing of the replica.

    An altered record, and a state that was not reached yet, are answered `UNAVAILABLE`, so that
    nobody takes them for a verdict. Another replica may do better.
    """
    info = error_info(error)
    return info is not None and info.reason in _OF_THE_QUESTION


def is_sick(error: BaseException) -> bool:
    """Returns whether *error* says that a replica gives no answers, rather than which."""
    return isinstance(error, (grpc.aio.AioRpcError, grpc.Call)) and error.code() in _SICK
