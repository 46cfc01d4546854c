"""A call as a value, and the clients that make calls: in asyncio, or without an event loop."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message

from keyauthority.client.admin.failures import failure
from keyauthority.client.attempts import Kind, kind
from keyauthority.client.credentials import bearer_metadata, person_metadata
from keyauthority.domain.callers import Person
from keyauthority.domain.secrets import Secret
from keyauthority.v1.wire import REQUEST_ID

READING: Final = 5.0
"""Seconds for an answer that only has to be read."""
CHANGING: Final = 12.0
"""Seconds for a change: more than it waits for a verifier that is cut off, with the usual lease."""

Result = TypeVar("Result")
Reply = TypeVar("Reply", bound=Message)
Record = TypeVar("Record")
Channel = TypeVar("Channel", grpc.Channel, grpc.aio.Channel)


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One call to the authority, made by `call`. Its `repr` omits the request, which may hold a secret.

    `read` makes the result of a reply.
    """

    path: str
    request: Message = field(repr=False)
    reply: type[Message] = field(repr=False)
    read: Callable[[Any], Result] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page(Generic[Record]):
    """One page of a list, and the token that asks for the next: empty on the last."""

    records: tuple[Record, ...]
    next_page_token: str


def call(request: Message, reply: type[Reply], read: Callable[[Reply], Result]) -> Call[Result]:
    """Returns the call of the one method that takes such a *request*."""
    message = request.DESCRIPTOR
    [service] = message.file.services_by_name.values()
    path = f"/{service.full_name}/{message.name.removesuffix('Request')}"
    return Call(path, request, reply, read)


@dataclass(frozen=True, slots=True)
class _Client(Generic[Channel]):
    """The settings of both clients.

    Args:
        channel: To the authority, from `connect` or `connect_blocking`. The caller closes it.
        token: A service token; None if a client certificate stands for the caller.
        person: The person for whom the calls are made, by a caller that may act for people.
        request_id: The id of the calls in log and audit; by default each call has its own.
        reading: Seconds in which an answer has to come.
        changing: The same for calls that change something, which wait for verifiers.
    """

    channel: Channel
    token: Secret | None = None
    person: Person | None = None
    request_id: str = ""
    reading: float = READING
    changing: float = CHANGING
    # A channel to several replicas holds something for each method, so a method is made once.
    _methods: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def acting_for(self, person: Person | None, request_id: str) -> Self:
        """Returns the same client, for calls that serve one request of *person*."""
        return replace(self, person=person, request_id=request_id)

    def _send(self, call: Call[Any], request_id: str) -> Any:
        if call.path not in self._methods:
            self._methods[call.path] = self.channel.unary_unary(
                call.path,
                request_serializer=type(call.request).SerializeToString,
                response_deserializer=call.reply.FromString,
            )
        return self._methods[call.path](
            call.request,
            timeout=self.reading if kind(call.path) is Kind.READS else self.changing,
            metadata=self._metadata(request_id),
        )

    def _metadata(self, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
        metadata: list[tuple[str, str | bytes]] = [(REQUEST_ID, request_id)]
        if self.token is not None:
            metadata += bearer_metadata(self.token)
        if self.person is not None:
            metadata += person_metadata(self.person.id, self.person.name)
        return tuple(metadata)


class AdminClient(_Client[grpc.aio.Channel]):
    """Makes calls in asyncio."""

    async def call(self, call: Call[Result]) -> Result:
        """Returns the result of *call*. Raises `AuthorityError`."""
        request_id = self.request_id or uuid.uuid4().hex
        try:
            return call.read(await self._send(call, request_id))
        except grpc.aio.AioRpcError as error:
            raise failure(error, request_id) from None


class BlockingAdminClient(_Client[grpc.Channel]):
    """Makes calls from code without an event loop; any number of threads may share one."""

    def call(self, call: Call[Result]) -> Result:
        """Returns the result of *call*. Raises `AuthorityError`."""
        return call.read(self.reply(call))

    def reply(self, call: Call[Any]) -> Message:
        """Returns the reply to *call* as a message. Raises `AuthorityError`."""
        request_id = self.request_id or uuid.uuid4().hex
        try:
            reply: Message = self._send(call, request_id)
        except grpc.RpcError as error:
            raise failure(error, request_id) from None
        return reply
