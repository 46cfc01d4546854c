"""Connections on which the other end may be silent for so long, and no longer."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import SocketTimeoutError
from aiohttp.client_proto import ResponseHandler


class TimedConnection(ResponseHandler):
    """A connection to a server that has to say something within the time that `wait_for` sets.

    If it does not, whoever waits for a response gets an error; a connection without one is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        # Whether the response to a request that was begun has not ended.
        self._expecting = False
        # Seconds that the server has for its next bytes, and when they are over by the loop's clock.
        self._patience = self._deadline = 0.0
        # Rings at the deadline or earlier: deadlines are put off far more often than missed.
        self._alarm: asyncio.TimerHandle | None = None

    def wait_for(self, seconds: float) -> None:
        """Gives the server *seconds* for its next bytes, and again for those after them."""
        if self.transport is None:
            return
        self._patience = seconds
        self._deadline = self._loop.time() + seconds
        if self._alarm is None or self._alarm.when() > self._deadline:
            self._set_alarm()

    def switch_to(self, parser: Any) -> None:
        """Gives *parser* all that follows, in another protocol, and its end; no time is kept any more."""
        self._stop_alarm()
        self.set_parser(parser, None)
        if not self.is_connected():
            parser.feed_eof()

    def _break_off(self, error: Exception, cause: BaseException | None = None) -> None:
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            error.__cause__ = cause
            body.set_exception(error)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        if self._reading_paused:
            # The server can't be heard: it has all the time that its client takes.
            return
        if self._loop.time() < self._deadline:
            self._set_alarm()
        elif self._expecting:
            late = SocketTimeoutError("the upstream says nothing")
            self.set_exception(late)
            self._break_off(late)
        else:
            self.close()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
