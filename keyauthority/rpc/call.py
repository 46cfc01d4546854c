"""What gRPC says of a call beside its message."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc.aio
from google.protobuf.message import DecodeError

from keyauthority.domain import limits
from keyauthority.domain.callers import Person
from keyauthority.domain.errors import invalid
from keyauthority.v1 import person_pb2
from keyauthority.v1.wire import PERSON, REQUEST_ID

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Metadata: TypeAlias = "Sequence[tuple[str, str | bytes]]"

_is_request_id = re.compile(r"[\x21-\x7e]{1,64}").fullmatch


def metadata(context: Context) -> Metadata:
    """Returns the headers of the call."""
    headers: Any = context.invocation_metadata()
    return headers or ()


def request_id(context: Context) -> str:
    """Returns the id that the caller gave the call if it is printable and short, else a fresh one."""
    for key, value in metadata(context):
        if key == REQUEST_ID and isinstance(value, str) and _is_request_id(value):
            return value
    return secrets.token_hex(8)


def source(context: Context) -> str:
    """Returns the peer's address, as gRPC writes it but without its escapes."""
    return context.peer().replace("%5B", "[").replace("%5D", "]")


def person_headers(context: Context) -> list[bytes]:
    """Returns the headers that name the person the call is made for, each a serialised `Person`."""
    headers = metadata(context)
    return [bytes(value) for key, value in headers if key == PERSON and isinstance(value, bytes)]


def parse_person(headers: Sequence[bytes]) -> Person:
    """Returns the person that one of `person_headers` names; raises `FIELD_INVALID`."""
    if len(headers) > 1:
        raise invalid(PERSON, "is there more than once")
    try:
        message = person_pb2.Person.FromString(headers[0])
    except DecodeError:
        raise invalid(PERSON, "is no serialised Person") from None
    return Person(limits.person_id(message.id, PERSON), limits.person_name(message.name, PERSON))
