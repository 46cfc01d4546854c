"""Client connections: HTTP/1 with answers that are given at once, and an orderly end.

aiohttp parses and schedules, and leaves the rest to its users. Its `RequestHandler` is no public base
class: `aiohttp_private` names what we use of it, and a test against the wire holds each addition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD

from keyauthority.base.http.answer import Answer
from keyauthority.base.http.delivery import Delivery, Unread
from keyauthority.base.http.limits import Limits
from keyauthority.base.http.request import Client, Request
from keyauthority.base.http.request_heads import LimitedHeads, status_for
from keyauthority.base.http.rounds import Round

# Seconds for which a refused client may go on sending before the connection is closed: closing on
# unread bytes would reset the connection, and lose the answer.
_LINGER: Final = 1.0


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Answers to requests that wait for nothing, given in the round in which the head arrives.

    aiohttp would wake a task for each connection, which makes another for each request.
    """

    # The beginning of the targets that may have such answers.
    target: str
    # Returns the answer to a request; None if it has to wait for something.
    answer: Callable[[Any], Answer | None]


@dataclass(slots=True, eq=False)
class Shared:
    """What all connections of one server share."""

    limits: Limits
    unread: Unread
    # Returns whether there are more connections than allowed, the newest included.
    is_full: Callable[[], bool]
    # Returns the raw answer to a client that is one too many.
    full_answer: Callable[[], bytes]
    # Answers an unreadable request; the second argument is the status.
    refuse: Callable[[Any, int], web.StreamResponse]
    # Makes a request of what aiohttp has read.
    make_request: Callable[..., Request]
    at_once: AtOnce | None
    # The connections that answer at once in this round of the event loop.
    round: Round = field(default_factory=Round)
    # Whether the service is about to stop.
    leaving: bool = False


class Connection(LimitedHeads):
    """One client connection."""

    __slots__ = ("_shared",)

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, shared: Shared) -> None:
        super().__init__(server, loop, shared.limits)
        self._shared = shared

    def interrupt(self) -> None:
        """Cancels the request under way, whose handler may still end its answer."""
        self.client.interrupted = True
        if self._task_handler is not None:
            self._task_handler.cancel()

    def switch_to(self, parser: Any) -> None:
        """Gives *parser* all that the client sends from now on, and tells it when no more comes."""
        self.set_parser(parser)
        if self.transport is None:
            parser.feed_eof()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        sending, shared = cast(asyncio.Transport, transport), self._shared
        delivery = Delivery(sending, shared.unread, self._limits.send_timeout, self._loop)
        self.client = Client(sending, delivery, leaving=shared.leaving)
        super().connection_made(transport)
        if shared.is_full():
            self._turn_away(shared.full_answer())
        else:
            self._start_head_timer()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
        self.client.delivery.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.client.delivery.pause()

    def resume_writing(self) -> None:
        self.client.delivery.resume()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        waiter = self._waiter
        if self._shared.at_once is None or waiter is None or waiter.done() or self._messages:
            waiter = None
            super().data_received(data)
        else:
            # The task is not woken yet.
            self._waiter = None
            try:
                super().data_received(data)
            finally:
                self._waiter = waiter
        if self._messages:
            self._head_arrived(len(data))
            if waiter is not None:
                self._shared.round.add(self, self._loop)
        elif self._waiter is not None and data:
            self._head_grew(len(data))

    def answer_now(self) -> None:
        """Answers the request that arrived, if that waits for nothing; else wakes the task."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        try:
            answered = self._answers_at_once(self._shared.at_once)
        except Exception as error:  # noqa: BLE001 - the others of the round get their answers
            self.log_exception("Unhandled exception", exc_info=error)
            self.force_close()
        else:
            if not answered:
                waiter.set_result(None)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers an unreadable request. aiohttp calls this; the connection ends after it."""
        if request.writer.output_size > 0 or isinstance(exc, ConnectionError):
            raise ConnectionError("the response is under way or nobody is there to read it")
        response = self._shared.refuse(request, status_for(status, exc))
        response.force_close()
        self._deaf = True
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Logs the failure, unless it is about the rest of a body after its answer."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **kw)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Writes the response. aiohttp calls this."""
        gone, our_request = False, cast(Request, request)
        try:
            # Not `isinstance`, which takes long for aiohttp's abstract classes.
            if Answer in type(resp).__mro__ and not self._upgraded:
                # What the base class does for a response that needs no preparation.
                try:
                    cast(Answer, resp).send(our_request)
                    if self.writing_paused:
                        await request.writer.drain()
                except ConnectionError:
                    gone = True
            else:
                resp, gone = await super().finish_response(request, resp, start_time)
        finally:
            self.client.delivery.watch()
            if our_request.on_end is not None:
                our_request.end()
        if not resp.keep_alive and (self._deaf or not request.content.is_eof()):
            self._end_sending()
            if self._deaf:
                await asyncio.sleep(_LINGER)
        return resp, gone

    def _answers_at_once(self, at_once: AtOnce | None) -> bool:
        # Only the one request that has arrived, and has no body. aiohttp watches how long the
        # connection idles, from its beginning on: while it does not, the request is left to it.
        (message, payload), parser = self._messages[0], self._parser
        if (
            at_once is None
            or parser is None
            or type(message) is not RawRequestMessage
            or not message.path.startswith(at_once.target)
            or payload is not EMPTY_PAYLOAD
            or len(self._messages) > 1
            or self._keepalive_handle is None
            or self.writing_paused
            or self._upgraded
            or self.client.transport.is_closing()
        ):
            return False
        writer = StreamWriter(self, self._loop)
        request = self._shared.make_request(message, payload, self, writer, self._task_handler)
        answer = at_once.answer(request)
        if answer is None:
            return False
        self._messages.popleft()
        parser.message_consumed()
        self._give(answer, request)
        return True

    def _give(self, answer: Answer, request: Request) -> None:
        try:
            answer.send(request)
        except Exception as error:  # noqa: BLE001 - as aiohttp does
            self.log_exception("Unhandled exception", exc_info=error)
            answer.force_close()
        self.client.delivery.watch()
        request.end()
        if answer.keep_alive:
            self._next_keepalive_close_time = self._loop.time() + self._limits.keepalive_timeout
        else:
            self.force_close()

    def _end_sending(self) -> None:
        # Shows the client that this was the last answer, while its further bytes are dropped.
        transport = self.transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            transport.write_eof()

    def _turn_away(self, answer: bytes) -> None:
        self._deaf = True
        self.client.transport.write(answer)
        self._end_sending()
        self._head_timer = self._loop.call_later(_LINGER, self.force_close)
