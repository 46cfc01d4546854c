"""A call as a value: what to send and how to read the reply. Who makes it is in `clients`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

Result = TypeVar("Result")
Reply = TypeVar("Reply", bound=Message)
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One call to the authority, whose result is a *Result*. Made by `call`.

    The request may hold a secret, so it is not shown.
    """

    path: str
    request: Message = field(repr=False)
    reply: type[Message] = field(repr=False)
    read: Callable[[Any], Result] = field(repr=False)
    """Makes the result of a reply."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """One page of a list, and the token that asks for the next: empty on the last."""

    records: tuple[Record, ...]
    next_page_token: str


def call(request: Message, reply: type[Reply], read: Callable[[Reply], Result]) -> Call[Result]:
    """The call of the one method that takes such a *request*."""
    message = request.DESCRIPTOR
    [service] = message.file.services_by_name.values()
    path = f"/{service.full_name}/{message.name.removesuffix('Request')}"
    return Call(path, request, reply, read)
