"""Who makes calls: over a channel, with a token, in asyncio or without an event loop."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message

from keyauthority.client.admin.calling import Call, Result
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

Channel = TypeVar("Channel", grpc.Channel, grpc.aio.Channel)
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class _Client(Generic[Channel]):
    """What both have in common.

    Args:
        channel: To the authority, from `connect` or `connect_blocking`; whoever made it closes it.
        token: A service token; None if a client certificate stands for the caller.
        person: Whom the calls are made for, by a caller that may act for people.
        request_id: What log and audit know the calls by; by default each has one of its own.
        reading: Seconds after which no answer counts as none.
        changing: The same for calls that change something, which wait for verifiers.
    """

    channel: Channel
    token: Secret | None = None
    person: Person | None = None
    request_id: str = ""
    reading: float = READING
    changing: float = CHANGING
    # Made once for each method: a channel to several replicas keeps what it made of them.
    _methods: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def acting_for(self, person: Person | None, request_id: str) -> Self:
        """The same client, whose calls are made for somebody in the course of one request."""
        return replace(self, person=person, request_id=request_id)

    def _method(self, call: Call[Any]) -> Any:
        if call.path not in self._methods:
            self._methods[call.path] = self.channel.unary_unary(
                call.path,
                request_serializer=type(call.request).SerializeToString,
                response_deserializer=call.reply.FromString,
            )
        return self._methods[call.path]

    def _timeout(self, call: Call[Any]) -> float:
        return self.reading if kind(call.path) is Kind.READS else self.changing

    def _metadata(self, request_id: str) -> Metadata:
        metadata: list[tuple[str, str | bytes]] = [(REQUEST_ID, request_id)]
        if self.token is not None:
            metadata += bearer_metadata(self.token)
        if self.person is not None:
            metadata += person_metadata(self.person.id, self.person.name)
        return tuple(metadata)

    def _new_request_id(self) -> str:
        return self.request_id or uuid.uuid4().hex


class AdminClient(_Client[grpc.aio.Channel]):
    """Makes calls in asyncio."""

    async def call(self, call: Call[Result]) -> Result:
        """The result of *call*. Raises `AuthorityError`."""
        return call.read(await self.reply(call))

    async def reply(self, call: Call[Any]) -> Message:
        """The reply to *call* as it came. Raises `AuthorityError`."""
        request_id = self._new_request_id()
        try:
            reply: Message = await self._method(call)(
                call.request, timeout=self._timeout(call), metadata=self._metadata(request_id)
            )
        except grpc.aio.AioRpcError as error:
            raise failure(error, request_id) from None
        return reply


class BlockingAdminClient(_Client[grpc.Channel]):
    """Makes calls from code without an event loop; any number of threads may share one."""

    def call(self, call: Call[Result]) -> Result:
        """The result of *call*. Raises `AuthorityError`."""
        return call.read(self.reply(call))

    def reply(self, call: Call[Any]) -> Message:
        """The reply to *call* as it came. Raises `AuthorityError`."""
        request_id = self._new_request_id()
        try:
            reply: Message = self._method(call)(
                call.request, timeout=self._timeout(call), metadata=self._metadata(request_id)
            )
        except grpc.RpcError as error:
            raise failure(error, request_id) from None
        return reply
