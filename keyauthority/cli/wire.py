"""Times and choices as the contracts have them; None stays unset."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(moment: datetime | None) -> Timestamp | None:
    """The moment, which knows its time zone."""
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def duration(length: timedelta | None) -> Duration | None:
    """The length of time."""
    if length is None:
        return None
    span = Duration()
    span.FromTimedelta(length)
    return span


def enum_name(prefix: str, choice: str | None) -> str:
    """`owner-left` as `REVOCATION_REASON_OWNER_LEFT`; no choice is the enum's unspecified."""
    return f"{prefix}{(choice or 'unspecified').upper().replace('-', '_')}"
