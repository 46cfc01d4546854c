"""By hand: what the contracts leave to convention, names in the metadata of calls and how times are written."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

AUTHORIZATION: Final = "authorization"
"""`Bearer` and the caller's token."""

REQUEST_ID: Final = "x-request-id"
"""What the log and the audit know a call by: the caller's, and it is told with every error."""

PERSON: Final = "x-opentoken-person-bin"
"""A serialised `Person`: whom the caller acts for."""

ERROR_DETAILS: Final = "grpc-status-details-bin"
"""A serialised `google.rpc.Status`, where gRPC puts it, with one `google.rpc.ErrorInfo`."""

ERROR_DOMAIN: Final = "keyauthority.opentoken.kr"
"""The `domain` of that `ErrorInfo`."""


def timestamp(time: datetime | None) -> Timestamp | None:
    """A moment, which knows its time zone, for a message; None leaves the field unset."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def duration(length: timedelta) -> Duration:
    """A length of time for a message."""
    message = Duration()
    message.FromTimedelta(length)
    return message
