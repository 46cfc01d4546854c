"""Written by hand: the names of metadata in calls, and times as messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

AUTHORIZATION: Final = "authorization"
"""`Bearer` and the caller's token."""

REQUEST_ID: Final = "x-request-id"
"""The caller's id of the call, for the log, the audit and errors."""

PERSON: Final = "x-opentoken-person-bin"
"""The person that the caller acts for: a serialised `Person`."""

ERROR_DETAILS: Final = "grpc-status-details-bin"
"""gRPC's name for a serialised `google.rpc.Status`; ours has one `google.rpc.ErrorInfo`."""

ERROR_DOMAIN: Final = "keyauthority.opentoken.kr"
"""The `domain` of that `ErrorInfo`."""


def timestamp(time: datetime | None) -> Timestamp | None:
    """Encodes a moment with a time zone; None leaves the field unset."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def duration(length: timedelta) -> Duration:
    """Encodes a length of time."""
    message = Duration()
    message.FromTimedelta(length)
    return message
