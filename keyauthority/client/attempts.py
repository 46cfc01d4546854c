"""How a call to one of several replicas may be made again, and when.

A call that only reads is asked of another replica when one fails, or is slow while another is well. One
that keeps a session goes to one replica: its caller makes the next. A change is sent once, to a replica
that has just said that it is well: whoever sends it twice may make it twice.
"""

from __future__ import annotations

import enum
import math
import time
from typing import Final

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from keyauthority.client.details import error_info
from keyauthority.domain.errors import Reason

HEALTH: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = b"\x08\x01"
"""What is answered there by who is well, as the bytes of the message."""

MOST: Final = 4
"""Replicas that one call is asked of."""

LONGEST_SHARE: Final = 1.0
"""Seconds after which another is asked beside the first one, however long the deadline."""

SHORTEST: Final = 0.01
"""Seconds: with less time left nobody else is asked."""

CHECKED_WITHIN: Final = 0.5
"""Seconds that a replica has to say that it is well, before a change is sent to another."""

_KEEPING: Final = frozenset({"Sync", "Leave"})
_OF_THE_QUESTION: Final = (Reason.KEYRING_MISMATCH.name, Reason.REVISION_NOT_REACHED.name)
_SICK: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class Kind(enum.Enum):
    """What a method does."""

    READS = enum.auto()
    KEEPS_SESSION = enum.auto()
    CHANGES = enum.auto()


def kind(path: str) -> Kind:
    """What the method at `/package.Service/Method` does; one that does not say changes something.

    So `Check` does: asked of whoever is well, it tells whether anybody is.
    """
    service, _, name = path.lstrip("/").partition("/")
    if name in _KEEPING:
        return Kind.KEEPS_SESSION
    try:
        method = descriptor_pool.Default().FindMethodByName(f"{service}.{name}")
    except KeyError:
        return Kind.CHANGES
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return Kind.READS if reads else Kind.CHANGES


def deadline(timeout: float | None) -> float:
    """When a call is over that may take *timeout* seconds, or as long as it likes."""
    return math.inf if timeout is None else time.monotonic() + timeout


def left(until: float) -> float | None:
    """Seconds left *until* then, as gRPC takes them."""
    return None if until == math.inf else max(until - time.monotonic(), 0.0)


def share(timeout: float, replicas: int) -> float:
    """Seconds that the first replica has alone, of a call that may take *timeout*."""
    return min(LONGEST_SHARE, timeout / (replicas + 1))


def is_of_the_question(error: grpc.RpcError) -> bool:
    """Whether *error* is about what was asked, whoever gave it: it says nothing of that replica.

    An altered record, and a state that was not reached yet, are answered `UNAVAILABLE`, so that
    nobody takes them for a verdict. Another replica may do better.
    """
    info = error_info(error)
    return info is not None and info.reason in _OF_THE_QUESTION


def is_sick(code: grpc.StatusCode) -> bool:
    """Whether *code* says of a replica that it gives no answers, rather than which."""
    return code in _SICK
