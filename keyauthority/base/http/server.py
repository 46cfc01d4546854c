"""An HTTP/1 server: its connections, and their orderly end."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeAlias, TypeVar, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from keyauthority.base.http.aiohttp_private import limit_read_ahead
from keyauthority.base.http.connection import AtOnce, Connection, Shared
from keyauthority.base.http.delivery import Unread
from keyauthority.base.http.limits import Limits
from keyauthority.base.http.request import Client, Request
from keyauthority.base.process.binding import BACKLOG

RequestT = TypeVar("RequestT", bound=Request)
AnyHandler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_POLL: Final = 0.02
_LAST_WORDS: Final = 2.0


class Server(web.Server, Generic[RequestT]):
    """Makes a `Connection` of every accepted socket, and ends them all at the stop.

    Args:
        handler: Answers a request; it is cancelled when the client leaves.
        refuse: Answers, synchronously, an unreadable request with 400, 408 or 431, or with 500
            where the fault is ours.
        full_answer: Returns the raw answer to a client that is one too many.
        request_class: The class of the requests that `handler` and `refuse` take.
        limits: The limits of each client.
        secret_mark: A part of every secret, which no request id of a client may contain.
        at_once: Answers what waits for nothing; `handler` the rest.
    """

    def __init__(
        self,
        handler: Callable[[RequestT], Awaitable[web.StreamResponse]],
        refuse: Callable[[RequestT, int], web.StreamResponse],
        full_answer: Callable[[], bytes],
        request_class: type[RequestT],
        limits: Limits,
        secret_mark: str,
        at_once: AtOnce | None = None,
    ) -> None:
        super().__init__(cast(AnyHandler, handler), handler_cancellation=True)
        limit_read_ahead()
        unread = Unread(limits.max_unread_bytes)
        self._shared = Shared(
            limits, unread, self._is_full, full_answer, refuse, self._make_request, at_once
        )
        self._request_class = request_class
        self._secret_mark = secret_mark

    def __call__(self) -> RequestHandler:
        return Connection(self, self._loop, self._shared)

    @property
    def busy(self) -> int:
        """How many connections have a request under way."""
        return sum(not cast(Connection, connection).idle for connection in self.connections)

    def leave(self) -> None:
        """Closes each connection after its next answer."""
        self._shared.leaving = True
        for connection in self.connections:
            cast(Connection, connection).client.leaving = True

    async def listen(self, listening: socket.socket, tls: ssl.SSLContext | None) -> asyncio.Server:
        """Accepts connections from *listening*, with *tls* if it is not None."""
        return await self._loop.create_server(
            self,
            sock=listening,
            backlog=BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=self._shared.limits.header_timeout if tls else None,
        )

    async def drain(self, grace: float) -> None:
        """Ends all connections: idle ones now, busy ones when done, all after *grace* seconds."""
        self.leave()
        if not await self._close_idle(grace):
            for connection in self.connections:
                cast(Connection, connection).interrupt()
            await self._close_idle(_LAST_WORDS)
        await self.shutdown(_POLL)

    def _is_full(self) -> bool:
        return len(self._connections) > self._shared.limits.max_connections

    async def _close_idle(self, seconds: float) -> bool:
        # Returns whether all connections ended within *seconds*.
        deadline = self._loop.time() + seconds
        while self._connections:
            for connection in self.connections:
                if cast(Connection, connection).idle:
                    connection.force_close()
            if self._loop.time() >= deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    def _make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> RequestT:
        client: Client = protocol.client  # type: ignore[attr-defined]  # it is a `Connection`
        return self._request_class(
            message, payload, protocol, writer, task, self._loop, client, self._secret_mark
        )
