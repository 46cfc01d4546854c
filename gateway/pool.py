"""Connections to the upstream, on which each response belongs to the request sent before it.

HTTP/1.1 tells which request a response answers by its place alone. aiohttp takes bytes that came
while a connection was idle for the answer to the next request on it, whoever's that is. Here a
connection that carried a byte too many is closed (RFC 9112, section 9.2).

What is used of aiohttp's own beside its documented interface is used in this file.
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

# Shorter than what servers keep idle connections for: a request sent into a connection that is
# just being closed fails, and one with a body cannot be repeated.
_KEEPALIVE: Final = 4.0

_ROUNDS: Final = 3
"""How often the event loop may read before a connection that still has something to read is given
up. TLS has messages of its own, such as session tickets, which are no bytes too many."""

_INTERIM: Final = range(100, 200)
_SWITCHING_PROTOCOLS: Final = 101


class UnsolicitedError(ClientConnectionError):
    """The upstream sent bytes that no request asked for. Nothing of this request was sent."""


class UpstreamProtocol(ResponseHandler):
    """One connection to the upstream. From `ask` to the end of the response it may say something.

    Args:
        loop: The running event loop.
        unsolicited: Is called when the connection is closed for bytes that nobody asked for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, unsolicited: Callable[[], None]) -> None:
        super().__init__(loop)
        self._unsolicited = unsolicited
        self._readable = select.poll()
        # Whether a request was begun of which the response has not ended.
        self._asked = False
        # Whether its response has begun: not an interim one (1xx), of which there may be many.
        self._answered = False
        # Whether it was ever asked: a fresh connection cannot be replaced by a better one.
        self.used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def is_quiet(self) -> bool | None:
        """Tell whether the connection is open and nothing has arrived on it that is yet unread.

        None if something has that the event loop has not read yet, which may be nothing for us.
        """
        if self._asked or not self.is_connected() or self._reading_paused:
            return False
        return None if self._readable.poll(0) else True

    async def becomes_quiet(self) -> bool:
        """Have the event loop read what has arrived, and tell whether the connection is quiet."""
        for _ in range(_ROUNDS):
            quiet = self.is_quiet()
            if quiet is not None:
                return quiet
            await asyncio.sleep(0)
        return False

    def ask(self) -> None:
        """Expect a response. To be called just before the head of a request is written."""
        self.used = self._asked = True
        self._answered = False

    def data_received(self, data: bytes) -> None:
        """Take bytes from the upstream. The event loop calls this, and aiohttp with no bytes."""
        if data and not self._asked:
            self._refuse()
            return
        super().data_received(data)
        if self._answered and self._asked and (self._payload is None or self._payload.is_eof()):
            self._asked = False
            if self._has_begun_another():
                self._refuse()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take the head of a response from the parser, with its body to come. aiohttp calls this."""
        if self._answered or not self._asked:
            self._refuse()
            return
        code = data[0].code
        self._answered = code not in _INTERIM or code == _SWITCHING_PROTOCOLS
        super().feed_data(data, size)

    def _has_begun_another(self) -> bool:
        # At the end of its input, the parser returns what it has of an unfinished head.
        parser = cast(Any, self._parser)
        try:
            return parser is not None and parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 - whatever it says of the head, there is one
            return True

    def _refuse(self) -> None:
        self._asked = False
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.close()
        self._unsolicited()
        # For who is about to use the connection. A response that is here whole is read before it.
        self.set_exception(UnsolicitedError("bytes that no request asked for"))


class UpstreamConnector(TCPConnector):
    """Opens connections to the upstream and keeps idle ones for a while.

    Args:
        unsolicited: Is called for each connection closed for bytes that nobody asked for.
        socket_factory: Makes the sockets; None is aiohttp's own way.
    """

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
        """Return a connection on which nothing has arrived since its last response ended.

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
