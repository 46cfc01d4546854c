"""The heads of clients' requests: how large one may be, and how long it may take to arrive."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from keyauthority.base.http.aiohttp_private import ErrInfo
from keyauthority.base.http.limits import Limits
from keyauthority.base.http.request import Client


class LimitedHeads(RequestHandler):
    """A connection on which heads that are too large or late are refused, and the last it hears."""

    __slots__ = ("_body", "_deaf", "_head_bytes", "_head_timer", "_limits", "client")

    client: Client

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
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
        self._limits = limits
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        # Whether whatever else the client sends is dropped.
        self._deaf = False

    @property
    def idle(self) -> bool:
        """Whether the client is between requests."""
        waiter = self._waiter  # once: metrics are read in another thread
        waiting = waiter is not None and not waiter.done()
        return waiting and not self._messages and self._head_bytes == 0

    def _head_arrived(self, size: int) -> None:
        if self._head_timer is not None:
            self._stop_head_timer()
        if self._head_bytes + size > self._limits.max_header_bytes:
            self.client.large_head = True
        self._head_bytes = 0
        message, body = self._messages[-1]
        if isinstance(message, RawRequestMessage):
            self._body = body
        elif not self._body.is_eof():
            # aiohttp queues the error behind the request with the malformed body, and would leave
            # that request waiting for the rest.
            self._body.set_exception(web.RequestPayloadError("malformed body"))

    def _head_grew(self, size: int) -> None:
        self._head_bytes += size
        if self._head_timer is None:
            self._start_head_timer()
        if self._head_bytes > self._limits.max_header_bytes:
            self._give_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._limits.header_timeout, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._give_up(HTTPStatus.REQUEST_TIMEOUT)
        elif self.idle:
            self.force_close()

    def _give_up(self, status: HTTPStatus) -> None:
        # aiohttp reports parse errors like this, so that both are treated the same.
        self._stop_head_timer()
        self._deaf = True
        error = ErrInfo(status=status, exc=_HeadError(), message="")
        self._messages.append((error, EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _HeadError(Exception):
    # An incomplete head is refused, with a status of ours.
    pass


def status_for(status: int, exc: BaseException | None) -> int:
    """Returns the status of the answer to a head that can't be read, of which aiohttp says *status*."""
    if isinstance(exc, _HeadError):
        return status
    if isinstance(exc, LineTooLong):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(exc, BadHttpMessage) and "Too many headers" in exc.message:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return status if status == HTTPStatus.BAD_REQUEST else HTTPStatus.INTERNAL_SERVER_ERROR
