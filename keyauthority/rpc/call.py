"""What gRPC has of a call: its headers, and its message once the headers are found good."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import grpc.aio
from google.protobuf.message import DecodeError, Message

from keyauthority.domain import limits
from keyauthority.domain.callers import Person
from keyauthority.domain.errors import invalid
from keyauthority.v1 import person_pb2
from keyauthority.v1.wire import PERSON, REQUEST_ID

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Metadata: TypeAlias = "Sequence[tuple[str, str | bytes]]"

AT_ONCE: Final = 4
"""Messages of strangers that are read at once: with the longest there may be, 36 MiB."""

SECONDS: Final = 1.0
"""How long a stranger may take to send a message once its call has begun."""

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


async def read_message(context: Context) -> bytes:
    """Returns the message of a call whose caller may make it; raises `FIELD_INVALID` if none comes."""
    message: Any = await context.read()
    if message is grpc.aio.EOF:
        raise invalid("request", "is missing")
    return bytes(message)


def encode(answer: Message | bytes) -> bytes:
    """Returns *answer* serialised, as a method may have returned it already."""
    return answer if type(answer) is bytes else answer.SerializeToString()  # type: ignore[union-attr]


class StrangersMessages:
    """Reads the messages of methods that are open to strangers, a few at a time.

    gRPC has no bound for the messages of one method. While too many are being read, a call is
    answered as if its message were empty: health is the same for all services, so only the answer
    about a service that doesn't exist is wrong then.
    """

    def __init__(self, at_once: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._free = at_once
        self._seconds = seconds

    async def read(self, context: Context) -> bytes:
        """Returns the call's message; raises `FIELD_INVALID` if none comes in time."""
        if not self._free:
            return b""
        self._free -= 1
        try:
            return await asyncio.wait_for(read_message(context), self._seconds)
        except TimeoutError:
            raise invalid("request", "does not come") from None
        finally:
            self._free += 1
