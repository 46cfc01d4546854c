"""Whom a caller acts for, as the metadata of its call says."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError

from keyauthority.domain import limits
from keyauthority.domain.callers import Person
from keyauthority.domain.errors import invalid
from keyauthority.rpc.call import Context, metadata
from keyauthority.v1 import person_pb2
from keyauthority.v1.wire import PERSON


def sent(context: Context) -> list[bytes]:
    """Who was named: nobody, one, or by mistake several, each serialised."""
    return [
        bytes(value)
        for key, value in metadata(context)
        if key == PERSON and isinstance(value, bytes)
    ]


def read(named: Sequence[bytes]) -> Person:
    """The one person *named*; raises `FIELD_INVALID`."""
    if len(named) > 1:
        raise invalid(PERSON, "is there more than once")
    try:
        message = person_pb2.Person.FromString(named[0])
    except DecodeError:
        raise invalid(PERSON, "is no serialised Person") from None
    return Person(
        limits.person_id(message.id, PERSON),
        limits.person_name(message.name, PERSON),
    )
