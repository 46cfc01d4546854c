"""Client connections: HTTP/1 with a header timer, head limits, and errors as envelopes.

aiohttp parses and schedules; what is added here is what it leaves to others. Its `RequestHandler`
is not a public base class: `aiohttp_private` names what is used of it, and each addition is held by a
test against the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from gateway.answer import Answer, raw_answer
from gateway.config import Limits
from gateway.delivery import Delivery
from gateway.envelope import Refusal
from gateway.request import EdgeRequest
from gateway.unread import Unread
from keyauthority.base.http.aiohttp_private import ErrInfo, limit_read_ahead

AnyHandler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Handler = Callable[[EdgeRequest], Awaitable[web.StreamResponse]]
Refuse = Callable[[EdgeRequest, Refusal], web.StreamResponse]

# How long a client that was just refused may go on sending before the connection is closed:
# closing on unread bytes resets the connection, and the answer with it.
_LINGER: Final = 1.0
_POLL: Final = 0.02
_LAST_WORDS: Final = 2.0


class _HeadError(Exception):
    # A head that is refused before it is complete.

    def __init__(self, refusal: Refusal) -> None:
        super().__init__()
        self.refusal = refusal


class Connection(RequestHandler):
    """One client connection."""

    __slots__ = (
        "_body",
        "_deaf",
        "_head_bytes",
        "_head_timer",
        "_limits",
        "delivery",
        "interrupted",
        "large_head",
        "server",
    )

    def __init__(self, server: EdgeServer, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented as the way to switch it off
            auto_decompress=False,
            keepalive_timeout=limits.keepalive_timeout,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
            max_headers=limits.max_headers,
        )
        self.server = server
        # Whether a head may have been over the limit: it came with that many bytes, of which
        # some may be of its body. Saves all others the counting.
        self.large_head = False
        # Set when the handler is cancelled because the gateway stops, not because the client left.
        self.interrupted = False
        self._limits = limits
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._deaf = False

    @property
    def idle(self) -> bool:
        """Whether the client is between requests."""
        waiter = self._waiter  # once: metrics are read in another thread
        waiting = waiter is not None and not waiter.done()
        return waiting and not self._messages and self._head_bytes == 0

    def interrupt(self) -> None:
        """Cancel the request under way, which may still say a last word."""
        self.interrupted = True
        if self._task_handler is not None:
            self._task_handler.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        client = cast(asyncio.Transport, transport)
        # What waits for the client.
        self.delivery = Delivery(client, self.server.unread, self._limits.send_timeout, self._loop)
        super().connection_made(transport)
        if self.server.full:
            self._turn_away(client)
        else:
            self._start_head_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        self.delivery.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.delivery.pause()

    def resume_writing(self) -> None:
        self.delivery.resume()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        super().data_received(data)
        if self._messages:
            self._head_arrived(len(data))
        elif self._waiter is not None and data:
            self._head_grew(len(data))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never became a request. aiohttp calls this; the connection ends after it."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("the response is under way or nobody is there to read it")
        response = self.server.refuse(cast(EdgeRequest, request), _refusal_for(status, exc))
        response.force_close()
        self._deaf = True
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what went wrong, unless it is the rest of a body that was already answered."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the response. aiohttp calls this."""
        gone = False
        edge_request = cast(EdgeRequest, request)
        try:
            if isinstance(resp, Answer) and not self._upgraded:
                # What it comes to for a response that needs no preparation.
                try:
                    resp.send(edge_request)
                    if self.writing_paused:
                        await request.writer.drain()
                except ConnectionError:
                    gone = True
            else:
                resp, gone = await super().finish_response(request, resp, start_time)
        finally:
            self.delivery.watch()
            if edge_request.on_end is not None:
                edge_request.end()
        if not resp.keep_alive and (self._deaf or not request.content.is_eof()):
            self._end_sending()
            if self._deaf:
                await asyncio.sleep(_LINGER)
        return resp, gone

    def _end_sending(self) -> None:
        # Tells the client that this was the last answer, while what it still sends is dropped.
        transport = self.transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def _head_arrived(self, size: int) -> None:
        if self._head_timer is not None:
            self._stop_head_timer()
        if self._head_bytes + size > self._limits.max_header_bytes:
            self.large_head = True
        self._head_bytes = 0
        message, body = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._body = body
        elif not self._body.is_eof():
            # aiohttp queues the error behind the request whose body it spoilt, and would leave
            # that request waiting for the rest.
            self._body.set_exception(web.RequestPayloadError("malformed body"))

    def _head_grew(self, size: int) -> None:
        self._head_bytes += size
        if self._head_timer is None:
            self._start_head_timer()
        if self._head_bytes > self._limits.max_header_bytes:
            self._give_up(Refusal.HEADERS_TOO_LARGE)

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._limits.header_timeout, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._give_up(Refusal.REQUEST_TIMEOUT)
        elif self.idle:
            self.force_close()

    def _give_up(self, refusal: Refusal) -> None:
        # The way aiohttp reports parse errors, so that these get the same treatment.
        self._stop_head_timer()
        self._deaf = True
        error = ErrInfo(status=refusal.status, exc=_HeadError(refusal), message="")
        self._messages.append((error, EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _turn_away(self, transport: asyncio.Transport) -> None:
        self._deaf = True
        transport.write(raw_answer(Refusal.VERIFICATION_UNAVAILABLE))
        self._end_sending()
        self._head_timer = self._loop.call_later(_LINGER, self.force_close)


class EdgeServer(web.Server):
    """Makes a `Connection` of every accepted socket, and ends them all at the stop.

    Args:
        handler: Answers a request; it is cancelled when the client leaves.
        refuse: Answers what was no request, synchronously.
        limits: What a client may send and hold.
    """

    def __init__(self, handler: Handler, refuse: Refuse, limits: Limits) -> None:
        super().__init__(cast(AnyHandler, handler), handler_cancellation=True)
        limit_read_ahead()
        self.refuse = refuse
        # Set from the moment the gateway is told to stop.
        self.leaving = False
        # What waits for the clients of all connections.
        self.unread = Unread(limits.max_unread_bytes)
        self._limits = limits

    def __call__(self) -> RequestHandler:
        return Connection(self, self._loop, self._limits)

    @property
    def full(self) -> bool:
        """Whether there are more connections than allowed, counting the newest."""
        return len(self._connections) > self._limits.max_connections

    @property
    def busy(self) -> int:
        """How many connections have a request under way."""
        return sum(not cast(Connection, one).idle for one in self.connections)

    async def drain(self, grace: float) -> None:
        """End all connections: idle ones now, busy ones when done, all after *grace* seconds."""
        self.leaving = True
        if not await self._emptied(grace):
            for connection in self.connections:
                cast(Connection, connection).interrupt()
            await self._emptied(_LAST_WORDS)
        await self.shutdown(_POLL)

    async def _emptied(self, seconds: float) -> bool:
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
    ) -> EdgeRequest:
        connection = cast(Connection, protocol)
        return EdgeRequest(message, payload, connection, writer, task, self._loop)


def _refusal_for(status: int, exc: BaseException | None) -> Refusal:
    if isinstance(exc, _HeadError):
        return exc.refusal
    if isinstance(exc, LineTooLong):
        return Refusal.HEADERS_TOO_LARGE
    if isinstance(exc, BadHttpMessage) and "Too many headers" in exc.message:
        return Refusal.HEADERS_TOO_LARGE
    return Refusal.BAD_REQUEST if status == 400 else Refusal.INTERNAL_ERROR  # noqa: PLR2004
