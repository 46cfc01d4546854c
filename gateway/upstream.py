"""Requests to the upstream and their responses, without the layers of aiohttp's client session."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientOSError,
    ServerDisconnectedError,
    StreamReader,
)
from aiohttp.http import RawResponseMessage
from yarl import URL

from gateway.config import Timeouts
from gateway.connection import Connections, UnsentError, UpstreamConnection
from gateway.headers import written
from gateway.pool import UpstreamConnector
from gateway.request import RequestBody, do_nothing
from gateway.response_heads import SWITCHING_PROTOCOLS, is_interim

_ROUNDS: Final = 3
"""How often the event loop may read before a connection with unread bytes is abandoned. TLS sends
messages of its own, such as session tickets, which are no bytes too many."""

# Of these, one that came to nothing is sent a second time (RFC 9110, section 9.2.2).
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
# Without a body, these need no length that says so.
_BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class VerdictLapsedError(Exception):
    """The verdict no longer held when the upstream was about to be contacted."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """A request to the upstream.

    It is sent only while `holds()`, and `on_send` is called before its first byte is written.
    """

    method: str
    # From `Upstream.head`.
    head: bytes
    body: bytes | RequestBody | None
    holds: Callable[[], bool]
    on_send: Callable[[], None]
    # Whether it asks for another protocol.
    switches: bool = False


class Response:
    """The upstream's response, whose content may be still to come."""

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, message: RawResponseMessage, content: StreamReader, connection: UpstreamConnection
    ) -> None:
        self.status = message.code
        self.headers = message.headers
        self.content = content
        # Others have it as soon as the content has ended.
        self._connection = connection

    def switched(self) -> UpstreamConnection:
        """Returns the connection, which has the protocol that was asked for (101); its taker closes it."""
        return self._connection

    def wait_for(self, seconds: float) -> None:
        """Gives the upstream *seconds* for each further piece of the content."""
        if not self.content.is_eof():
            self._connection.wait_for(seconds)

    def pause(self) -> None:
        """Stops reading the content from the upstream."""
        if not self.content.is_eof() and self._connection.is_connected():
            self._connection.pause_reading()

    def resume(self) -> None:
        """Reads on after `pause`."""
        if not self.content.is_eof():
            self._connection.resume_reading()

    def close(self) -> None:
        """Gives up the rest of the content, if any; whoever waits for it gets an error."""
        if not self.content.is_eof():
            if self.content.exception() is None:
                self.content.set_exception(ClientConnectionError("the response was given up"))
            self._connection.close()


class Upstream:
    """The one upstream of a gateway.

    Args:
        base: What stands before `/v1/...` in its URLs.
        timeouts: How long it may take.
        connections: Those to it, which the first request opens.
        trust: Whose certificates it may have; True: those that the system trusts.
    """

    def __init__(
        self,
        base: str,
        timeouts: Timeouts,
        connections: Connections,
        trust: ssl.SSLContext | bool = True,
    ) -> None:
        self.base = base
        url = URL(base + "/", encoded=True)
        self._host = f"Host: {url.host_port_subcomponent}".encode()
        self._prefix = url.raw_path.removesuffix("/")
        self._patience = timeouts.first_byte_timeout
        self._pool = UpstreamConnector(url, timeouts.connect_timeout, connections, trust)

    async def close(self) -> None:
        """Ends all connections."""
        await self._pool.close()

    def head(
        self, method: str, target: str, lines: list[bytes], body: bytes | RequestBody | None
    ) -> bytes | None:
        """Returns the head of a request; None if it can't be written as it is.

        *lines* are its header fields, without those that frame the *body*.
        """
        try:
            head = [f"{method} {self._prefix}{target} HTTP/1.1".encode(), self._host, *lines]
        except UnicodeEncodeError:
            return None
        size = body.length if isinstance(body, RequestBody) else len(body or b"")
        if size is None:
            head.append(b"Transfer-Encoding: chunked")
        elif size or method not in _BODILESS:
            head.append(b"Content-Length: %d" % size)
        return written(head)

    async def send(self, request: Outgoing) -> Response:
        """Sends *request* and returns the response once its head is here.

        There is a second attempt if nothing of it was sent, or if it is idempotent, and the first
        connection was lost before a response.

        Raises:
            VerdictLapsedError: The verdict did not hold any more. Nothing was sent.
            ClientError, HttpProcessingError, OSError: There is no response, or none that is HTTP.
            TimeoutError: It took too long.
        """
        try:
            return await self._exchange(request)
        except UnsentError:
            pass
        except ClientConnectorError:
            raise
        except (ClientOSError, ServerDisconnectedError) as lost:
            if not _may_be_repeated(request):
                raise
            try:
                return await self._exchange(request)
            except VerdictLapsedError:
                # The first attempt may have been carried out.
                raise lost from None
        return await self._exchange(request)

    async def _exchange(self, request: Outgoing) -> Response:
        connection = self._pool.take()
        # Nothing is awaited from the verdict to the writing.
        if connection is None or not request.holds() or not connection.is_quiet():
            connection = await self._connection(connection, request.holds)
        try:
            request.on_send()
            connection.may_switch = request.switches
            connection.send(request.method, request.head, request.body, self._patience)
            message, content = await connection.read()
            while is_interim(message.code):
                message, content = await connection.read()
        except BaseException:
            connection.close()
            raise
        if content.is_eof() and not (request.switches and message.code == SWITCHING_PROTOCOLS):
            connection.release()
        if isinstance(request.body, RequestBody):
            request.body.on_progress = do_nothing
        return Response(message, content, connection)

    async def _connection(
        self, connection: UpstreamConnection | None, holds: Callable[[], bool]
    ) -> UpstreamConnection:
        # Returns one on which the request may be written at once: the verdict holds, and no byte has
        # arrived since the last response.
        while True:
            if connection is None:
                connection = await self._pool.open()
            try:
                if await _is_ready(connection, holds):
                    return connection
            except BaseException:
                connection.close()
                raise
            unwanted = connection.exception()
            connection.close()
            if not connection.used:
                if isinstance(unwanted, UnsentError):
                    raise unwanted
                raise UnsentError("the connection was closed at once") from unwanted
            connection = self._pool.take()


async def _is_ready(connection: UpstreamConnection, holds: Callable[[], bool]) -> bool:
    for _ in range(_ROUNDS):
        if not holds():
            raise VerdictLapsedError
        quiet = connection.is_quiet()
        if quiet is not None:
            return quiet
        await asyncio.sleep(0)
    return False


def _may_be_repeated(request: Outgoing) -> bool:
    body = request.body
    return request.method in _IDEMPOTENT and not (isinstance(body, RequestBody) and body.begun)
