"""What gRPC tells of a call beside its message."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc.aio

from keyauthority.v1.wire import REQUEST_ID

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Metadata: TypeAlias = "Sequence[tuple[str, str | bytes]]"

_is_request_id = re.compile(r"[\x21-\x7e]{1,64}").fullmatch


def metadata(context: Context) -> Metadata:
    """The headers of the call."""
    sent: Any = context.invocation_metadata()
    return sent or ()


def request_id(context: Context) -> str:
    """The id the caller gave the call if it gave a sane one, else a fresh one."""
    for key, value in metadata(context):
        if key == REQUEST_ID and isinstance(value, str) and _is_request_id(value):
            return value
    return secrets.token_hex(8)


def source(context: Context) -> str:
    """The peer's address, as gRPC writes it but without its escapes."""
    return context.peer().replace("%5B", "[").replace("%5D", "]")
