"""What the authority says of an error, in the details beside its status (AIP-193)."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from keyauthority.v1.wire import ERROR_DETAILS


def error_info(error: Any) -> ErrorInfo | None:
    """The `ErrorInfo` of an error of gRPC's; None if it has none, as what gRPC itself raises."""
    trailing: Any = getattr(error, "trailing_metadata", tuple)()
    for name, value in trailing or ():
        if name == ERROR_DETAILS:
            return _unpacked(value)
    return None


def _unpacked(details: bytes) -> ErrorInfo | None:
    try:
        status = Status.FromString(details)
    except DecodeError:
        return None
    info = ErrorInfo()
    return info if any(detail.Unpack(info) for detail in status.details) else None
