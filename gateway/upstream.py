"""Requests to the upstream, sent as they are in as few steps as aiohttp allows.

aiohttp's `ClientRequest` is not meant to be changed; tests hold each addition against the wire.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from aiohttp import (
    AddrInfoType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    hdrs,
)
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from multidict import CIMultiDict

from gateway.config import Timeouts
from gateway.pool import UpstreamConnector, UpstreamProtocol

if TYPE_CHECKING:
    from aiohttp.connector import Connection

SMALL: Final = 32 * 1024
"""Bytes of a body that a connection takes at once, whatever its other end does."""

# Bytes of an answer that are read before its client has taken what came earlier, and bytes that the
# system takes in from the upstream meanwhile. The system alone would take several MiB for each
# client that does not read. A window of 128 KiB carries 1.3 MB/s over 100 ms, on each connection.
_READ_AHEAD: Final = 16 * 1024
_WINDOW: Final = 128 * 1024

_NO_CONTENT_TYPE: Final = CIMultiDict({hdrs.CONTENT_TYPE: None})


class VerdictLapsedError(Exception):
    """The verdict no longer held when the upstream was about to be contacted."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to the upstream, without its method, its target and a large body.

    `headers` lack those that frame it. It is sent only while `holds()`, and `on_send` is called before
    its first byte is written.
    """

    holds: Callable[[], bool]
    headers: CIMultiDict[str]
    body: bytes
    on_send: Callable[[], None]


outgoing: ContextVar[Outgoing] = ContextVar("outgoing")
"""Is set before each request, since aiohttp passes on nothing that it does not know."""


def upstream_session(timeouts: Timeouts, unsolicited: Callable[[], None]) -> ClientSession:
    """Returns the session for `outgoing` requests, which keeps no cookies, decodes and adds nothing.

    *unsolicited* is called for each connection closed for bytes that no request asked for.
    """
    return ClientSession(
        connector=UpstreamConnector(unsolicited, _small_window),
        timeout=ClientTimeout(
            total=None,
            sock_connect=timeouts.connect_timeout,
            sock_read=timeouts.first_byte_timeout,
        ),
        request_class=_Request,
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        read_bufsize=_READ_AHEAD,
    )


def _small_window(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    connecting = socket.socket(family, kind, protocol)
    connecting.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _WINDOW)
    return connecting


class _Request(ClientRequest):
    # aiohttp makes one for each attempt, and calls `send` once it has a connection: the last moment
    # at which nothing has been sent to the upstream.

    def update_headers(self, _: object) -> None:
        self._outgoing = outgoing.get()
        host = self.url.host_port_subcomponent
        self.headers = CIMultiDict(((hdrs.HOST, host or ""),))
        self.headers.extend(self._outgoing.headers)

    def update_auto_headers(self, _: object) -> None:
        # Nothing of aiohttp's own is added: a header that the client did not send is not sent.
        self._skip_auto_headers = _NO_CONTENT_TYPE

    def update_body_from_data(self, body: Any, _stacklevel: int = 3) -> None:
        if body is not None:
            super().update_body_from_data(body, _stacklevel)
            return
        self._body = None
        small = self._outgoing.body
        if small or self.method not in self.GET_METHODS:
            self.headers[hdrs.CONTENT_LENGTH] = str(len(small))

    async def send(self, conn: Connection) -> ClientResponse:
        if not self._outgoing.holds():
            raise VerdictLapsedError
        if self._body is not None:
            return await super().send(conn)
        # aiohttp would make a task of writing the body, because a large one may have to wait.
        protocol = cast(UpstreamProtocol, conn.protocol)
        writer = StreamWriter(protocol, self.loop)
        self._outgoing.on_send()
        protocol.expect_response()
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        protocol.start_timeout()
        await writer.write_eof(self._outgoing.body)
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=[],
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        # aiohttp calls this in a task of its own. Nothing was sent until now, and nothing is sent if
        # bytes have arrived meanwhile.
        protocol = cast(UpstreamProtocol, conn.protocol)
        if await protocol.becomes_quiet():
            self._outgoing.on_send()
            protocol.expect_response()
            await super().write_bytes(writer, conn, content_length)
        elif protocol.exception() is None:
            protocol.set_exception(ServerDisconnectedError())
