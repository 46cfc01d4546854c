"""Connections to the upstream, on which each response belongs to the request sent before it.

In HTTP/1.1 only its place says which request a response answers. aiohttp takes bytes that came
while a connection was idle for the answer to the next request on it, whoever sends that. Here a
connection that carried a byte too many is closed (RFC 9112, section 9.2).
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from aiohttp import ClientConnectionError, ClientPayloadError, StreamReader, hdrs
from aiohttp.http import RawResponseMessage, StreamWriter
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.request import RequestBody
from gateway.response_heads import SWITCHING_PROTOCOLS, HeadLimits, is_interim
from gateway.timed_connection import TimedConnection

SMALL: Final = 32 * 1024
"""Bytes of a body that a connection takes at once, whatever its other end does."""

KEPT_IDLE: Final = 4.0
"""Seconds that a connection is kept without a request. Servers keep theirs longer: a request sent into
a connection that is just being closed fails, and one with a body cannot be repeated."""

_READ_AHEAD: Final = 16 * 1024
"""Bytes of a response that are read before its client has taken what came earlier."""


class UnsentError(ClientConnectionError):
    """The connection was no good. Nothing of this request was sent."""


class UnsolicitedError(UnsentError):
    """The upstream sent bytes that no request asked for."""


@dataclass(slots=True, eq=False)
class Connections:
    """All connections to the upstream."""

    # Is called for each that is closed for bytes that no request asked for.
    unsolicited: Callable[[], None]
    # Seconds that one without a request is kept.
    kept_idle: float = KEPT_IDLE
    heads: HeadLimits = field(default_factory=HeadLimits)
    alive: set[UpstreamConnection] = field(default_factory=set)
    # Those that may have another request, the one that is idle for longest first.
    idle: deque[UpstreamConnection] = field(default_factory=deque)


class UpstreamConnection(TimedConnection):
    """One connection to the upstream: a request at a time, and the response to it.

    It is closed if bytes arrive that no request asked for. It is one of *connections* until it is lost.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: Connections) -> None:
        super().__init__(loop)
        self._connections = connections
        self._readable = select.poll()
        # Whether that response has begun: not an interim one (1xx), of which there may be many. And the
        # bytes of their heads, or of its trailer, where they came in pieces.
        self._has_begun, self._head_size = False, 0
        # Whether the parser is for responses to HEAD, and whether reading was paused since it was made.
        self._bodiless = self._was_paused = False
        # Whether the parser may hold a trailer's last field, which it would add to the next response.
        self._has_trailer = False
        # Whether a request was ever begun: a fresh connection cannot be replaced by a better one.
        self.used = False
        # Passes on a body that streams, and is done with it when None.
        self._upload: asyncio.Task[None] | None = None
        # Whether its request asks for another protocol, and whether it has that.
        self.may_switch = self._switched = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._readable.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._take_rest()
        if exc is not None:
            # Else a response that ends with its connection would pass for whole.
            self._break_off(ClientPayloadError("the connection was lost"), exc)
        super().connection_lost(exc)
        self._stop()
        self._connections.alive.discard(self)
        if self in self._connections.idle:
            self._connections.idle.remove(self)

    def close(self) -> None:
        """Closes the connection, and stops passing on the body of its request."""
        self._stop()
        self._drop_unsent()
        super().close()

    def abort(self) -> None:
        """Ends the connection at once; a response that is under way has broken off."""
        self._break_off(ClientPayloadError("the connection was ended"))
        super().abort()

    def is_quiet(self) -> bool | None:
        """Returns whether the connection is open and no byte of it is unread.

        None if the event loop has yet to read something, which may be TLS's own.
        """
        if self._expecting or not self.is_connected() or self._reading_paused:
            return False
        return None if self._readable.poll(0) else True

    def send(
        self, method: str, head: bytes, body: bytes | RequestBody | None, patience: float
    ) -> None:
        """Writes a request; a body that streams follows as it comes. The connection has to be quiet.

        `read` returns the response, which has to begin *patience* seconds after the request's last
        bytes.
        """
        self.used = self._expecting = True
        self._has_begun, self._head_size = False, 0
        self._prepare_parser(bodiless=method == hdrs.METH_HEAD)
        transport = cast(asyncio.Transport, self.transport)
        if isinstance(body, RequestBody):
            transport.write(head)
            body.on_progress = partial(self.wait_for, patience)
            self._upload = self._loop.create_task(self._pass_on(body))
        elif body is None or len(body) <= SMALL:
            transport.write(head + (body or b""))
        else:
            transport.write(head)
            transport.write(body)
        self.wait_for(patience)

    def _prepare_parser(self, *, bodiless: bool) -> None:
        # After a pause something of it may be left in the parser, and each knows one kind of response.
        stale = self._was_paused or self._has_trailer or self._bodiless != bodiless
        if self._parser is None or stale:
            self._bodiless, self._was_paused, self._has_trailer = bodiless, False, False
            self.set_response_params(
                skip_payload=bodiless,
                read_until_eof=True,
                auto_decompress=False,
                read_bufsize=_READ_AHEAD,
                **self._connections.heads.for_parser(),
            )

    async def _pass_on(self, body: RequestBody) -> None:
        writer = StreamWriter(self, self._loop)
        if body.length is None:
            writer.enable_chunking()
        try:
            await body.write(writer)
            await writer.write_eof()
        except Exception as error:  # noqa: BLE001 - whoever waits for the response gets it
            self.set_exception(ClientConnectionError("the body can't be passed on"), error)
        else:
            body.on_progress()
        self._upload = None

    def pause_reading(self) -> None:
        """Stops reading, since too much of the response waits to be taken."""
        self._was_paused = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Reads on. aiohttp calls this whenever a piece of the response was taken.

        Only after a pause there is something to do; the parser may notice the pause when it is over.
        """
        if not self._was_paused:
            return
        was_paused = self._reading_paused
        super().resume_reading(resume_parser)
        if was_paused:
            self.wait_for(self._patience)

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the upstream. The event loop calls this, and aiohttp with no bytes."""
        if not self._expecting:
            if self._switched:
                super().data_received(data)
            elif data:
                self._refuse()
            return
        self._deadline = self._loop.time() + self._patience
        body, had_begun = self._payload, self._has_begun
        taken = 0 if body is None else body.total_bytes
        super().data_received(data)
        # Bytes that bring nothing of a body are of a head, or of what stands between and behind its chunks.
        brought = body is not None and body.total_bytes != taken
        self._head_size += len(data)
        if brought or self._has_begun != had_begun:
            self._head_size = 0
        if self._has_begun:
            self._note_end()
            self._note_nonsense()
        if self._head_size > self._connections.heads.size and self._expecting:
            error = BadHttpMessage("the head or the trailer of the response is too large")
            self._break_off(ClientPayloadError("the response has too large a trailer"), error)
            self._hang_up(error)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Takes a response from the parser, its body still to come. aiohttp calls this."""
        if self._has_begun or not self._expecting:
            self._refuse()
            return
        code = data[0].code
        self._has_begun = not is_interim(code)
        self._has_trailer = data[0].chunked
        if code == SWITCHING_PROTOCOLS:
            # Whatever follows is no answer to another request.
            self.force_close()
            self._switched = self.may_switch
            self._expecting = not self._switched
        elif not self._has_begun and self._payload is not EMPTY_PAYLOAD:
            # The response would be taken for its body.
            self._hang_up(BadHttpMessage("an interim response with a body"))
            return
        super().feed_data(data, size)

    def release(self) -> None:
        """Keeps the connection for another request, its response having ended, unless it is no good."""
        gone = self.transport is None or self.should_close
        # The next request would wait for the rest of this one to be taken.
        if gone or self._upload is not None or self._has_unsent():
            self.close()
        else:
            self._connections.idle.append(self)
            self.wait_for(self._connections.kept_idle)

    def _note_end(self) -> None:
        if not self._expecting or not (self._payload is None or self._payload.is_eof()):
            return
        self._expecting = False
        # Its client may still read it, whatever becomes of the connection.
        self._payload = None
        if self._has_begun_another():
            self._refuse()
        if not len(self):
            # Else whoever takes the response does it.
            self.release()

    def _note_nonsense(self) -> None:
        # aiohttp tells only who waits for the head: whoever waits for the body would wait for ever.
        error = self.exception()
        if isinstance(error, HttpProcessingError):
            self._break_off(ClientPayloadError("the response is no HTTP"), error)

    def _take_rest(self) -> None:
        # What the parser holds since reading was paused has arrived before the connection was lost.
        body, taken = self._payload, -1
        while body is not None and not body.is_eof() and body.total_bytes > taken:
            taken = body.total_bytes
            super().data_received(b"")
        self._note_nonsense()

    def _has_begun_another(self) -> bool:
        # At the end of its input, the parser returns what it has of an unfinished head.
        parser = cast(Any, self._parser)
        try:
            return parser is not None and parser.feed_eof() is not None
        except Exception:  # noqa: BLE001 - whatever it says of the head, there is one
            return True

    def _refuse(self) -> None:
        # Whoever is about to use the connection gets this, after a response that is here whole.
        if self._hang_up(UnsolicitedError("bytes that no request asked for")):
            self._connections.unsolicited()

    def _hang_up(self, error: Exception) -> bool:
        # Returns whether the connection was still open.
        self._expecting = False
        if self.transport is None or self.transport.is_closing():
            return False
        self._drop_unsent()
        self.transport.close()
        self.set_exception(error)
        return True

    def _has_unsent(self) -> bool:
        return self.transport is not None and self.transport.get_write_buffer_size() > 0

    def _drop_unsent(self) -> None:
        # An upstream that does not read would keep the connection from ever being closed.
        if self.transport is not None and self._has_unsent():
            self.transport.abort()

    def _stop(self) -> None:
        self._stop_alarm()
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None
