"""Connections to the upstream, on which each response belongs to the request sent before it.

In HTTP/1.1 only its place says which request a response answers. aiohttp takes bytes that came
while a connection was idle for the answer to the next request on it, whoever sends that. Here a
connection that carried a byte too many is closed (RFC 9112, section 9.2).
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import (
    ClientConnectionError,
    ClientRequest,
    ClientTimeout,
    ServerDisconnectedError,
    SocketFactoryType,
    StreamReader,
    TCPConnector,
)
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

# Shorter than servers keep idle connections: a request sent into a connection that is just being
# closed fails, and one with a body cannot be repeated.
_KEEPALIVE: Final = 4.0

_ROUNDS: Final = 3
"""How often the event loop may read before a connection with unread bytes is abandoned. TLS sends
messages of its own, such as session tickets, which are no bytes too many."""

_INTERIM: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101


class UnsolicitedError(ClientConnectionError):
    """The upstream sent bytes that no request asked for. Nothing of this request was sent."""


class UpstreamProtocol(ResponseHandler):
    """One connection to the upstream.

    If bytes arrive that no request asked for, it is closed and *unsolicited* is called.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, unsolicited: Callable[[], None]) -> None:
        super().__init__(loop)
        self._unsolicited = unsolicited
        self._readable = select.poll()
        # Whether the response to a request that was begun has not ended.
        self._expecting = False
        # Whether that response has begun: not an interim one (1xx), of which there may be many.
        self._has_begun = False
        # Whether a request was ever begun: a fresh connection cannot be replaced by a better one.
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_quiet(self) -> bool | None:
        """Returns whether the connection is open and no byte of it is unread.

        None if the event loop has yet to read something, which may be TLS's own.
        """
        if self._expecting or not self.is_connected() or self._reading_paused:
            return False
        return None if self._readable.poll(0) else True

    async def becomes_quiet(self) -> bool:
        """Returns `is_quiet`, once the event loop has read what has arrived."""
        for _ in range(_ROUNDS):
            quiet = self.is_quiet()
            if quiet is not None:
                return quiet
            await asyncio.sleep(0)
        return False

    def expect_response(self) -> None:
        """Notes that the head of a request is about to be written."""
        self.used = self._expecting = True
        self._has_begun = False

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the upstream. The event loop calls this, and aiohttp with no bytes."""
        if data and not self._expecting:
            self._refuse()
            return
        super().data_received(data)
        if (
            self._has_begun
            and self._expecting
            and (self._payload is None or self._payload.is_eof())
        ):
            self._expecting = False
            if self._has_begun_another():
                self._refuse()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Takes a response from the parser, its body still to come. aiohttp calls this."""
        if self._has_begun or not self._expecting:
            self._refuse()
            return
        code = data[0].code
        self._has_begun = code not in _INTERIM or code == _SWITCHING_PROTOCOLS
        super().feed_data(data, size)

    def _has_begun_another(self) -> bool:
        # At the end of its input, the parser returns what it has of an unfinished head.
        parser = cast(Any, self._parser)
        try:
            return parser is not None and parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 - whatever it says of the head, there is one
            return True

    def _refuse(self) -> None:
        self._expecting = False
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.close()
        self._unsolicited()
        # Whoever is about to use the connection gets this, after a response that is here whole.
        self.set_exception(UnsolicitedError("bytes that no request asked for"))


class UpstreamConnector(TCPConnector):
    """Opens connections to the upstream and keeps idle ones for a while."""

    def __init__(
        self, unsolicited: Callable[[], None], socket_factory: SocketFactoryType | None
    ) -> None:
        super().__init__(limit=0, keepalive_timeout=_KEEPALIVE, socket_factory=socket_factory)
        factory = partial(UpstreamProtocol, self._loop, unsolicited)
        self._factory = cast("partial[ResponseHandler]", factory)

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's own
    ) -> Connection:
        """Returns a connection on which nothing has arrived since its last response ended.

        Raises:
            UnsolicitedError: The upstream speaks first, even on a fresh connection.
            ClientError, TimeoutError: It cannot be connected to.
        """
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast(UpstreamProtocol, connection.protocol)
            try:
                if protocol.is_quiet() or await protocol.becomes_quiet():
                    return connection
            except BaseException:
                connection.close()
                raise
            unwanted = protocol.exception()
            connection.close()
            if not protocol.used:
                raise unwanted or ServerDisconnectedError
