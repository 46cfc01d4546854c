"""A websocket between a client and the upstream, once both have agreed on it.

Frames pass as they come, in both directions, and with them pings and the reasons for which either side ends
it. The gateway follows where frames end, so that it can end the websocket itself and say why.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import StreamWriter

from gateway.connection import UpstreamConnection
from gateway.frames import Frames, close_frame
from gateway.request import EdgeRequest, Outcome, do_nothing
from keyauthority.base.http.connection import Connection
from keyauthority.edge.envelope import Refusal

_LINGER: Final = 1.0
"""Seconds in which a client may answer the end of a websocket, before its connection is closed."""

_GOING_AWAY: Final = 1001
_POLICY: Final = 1008
_TRY_AGAIN: Final = 1013
_BAD_GATEWAY: Final = 1014


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one websocket."""

    # In which neither side sends a byte, before it ends.
    idle: float
    # That it may last, whatever passes.
    life: float


class Tunnel:
    """A websocket that is open: *upstream* is its connection there, *request* what asked for it."""

    def __init__(self, request: EdgeRequest, upstream: UpstreamConnection, times: Times) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._client = cast(Connection, request.protocol)
        self._upstream = upstream
        self._times = times
        self._wait: asyncio.Timeout | None = None
        self._up = _Flow(self._loop, self._client, upstream)
        self._down = _Flow(self._loop, upstream, self._client)

    async def run(self) -> None:
        """Passes frames on until the websocket ends, and notes on the request how it did."""
        request = self._request
        request.client.delivery.patience = self._times.idle
        request.on_new_key = self._look_again
        try:
            # Each may already have sent something.
            self._client.switch_to(self._up)
            self._upstream.switch_to(self._down)
            await self._pass_on()
        except asyncio.CancelledError:
            if request.cut is not None:
                request.outcome = Outcome.CUT
                # Where nobody can say what became of the key, it may be as good as ever.
                unknown = request.cut is Refusal.VERIFICATION_UNAVAILABLE
                await self._end(_TRY_AGAIN if unknown else _POLICY, request.cut.code)
            elif request.client.interrupted:
                request.outcome = Outcome.STOPPED
                await self._end(_GOING_AWAY, "stopped")
            elif self._up.frames.closed or self._down.frames.closed:
                request.outcome = Outcome.FORWARDED
            else:
                self._tell_upstream(_GOING_AWAY, Outcome.CLIENT_LEFT)
                raise
        finally:
            request.on_new_key = do_nothing
            self._up.stop()
            self._down.stop()
            self._leave_upstream()

    async def _pass_on(self) -> None:
        start, times = self._loop.time(), self._times
        self._request.outcome = Outcome.FORWARDED
        last = start + times.life
        while not self._down.ended.is_set():
            now, expiry = self._loop.time(), self._expiry()
            idle = max(self._up.moved, self._down.moved, start) + times.idle
            if now >= expiry:
                self._request.outcome = Outcome.CUT
                await self._end(_POLICY, Refusal.EXPIRED_KEY.code)
                return
            if now >= min(idle, last):
                await self._end(
                    _GOING_AWAY, "idle_timeout" if now >= idle else "websocket_lifetime"
                )
                return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(idle, last, expiry)) as self._wait:
                    await self._down.ended.wait()
        if not self._down.frames.closed:
            self._request.outcome = Outcome.UPSTREAM_BROKE
            await self._end(_BAD_GATEWAY, Refusal.UPSTREAM_UNAVAILABLE.code)

    def _expiry(self) -> float:
        key = self._request.key
        if key is None or key.expire_time is None:
            return math.inf
        return self._loop.time() + (key.expire_time - datetime.now(UTC)).total_seconds()

    def _look_again(self) -> None:
        # The key may expire earlier, or later, than when the wait began.
        if self._wait is not None:
            # Else it is just over.
            with suppress(RuntimeError):
                self._wait.reschedule(self._loop.time())

    async def _end(self, code: int, reason: str) -> None:
        # Tells both why it ends. The client hears it only between two frames, and if it listens.
        self._tell_upstream(code, reason)
        transport = self._client.transport
        if transport is None or transport.is_closing() or self._down.frames.closed:
            return
        if not self._down.frames.between or self._client.writing_paused:
            transport.abort()
            return
        transport.write(close_frame(code, reason, masked=False))
        # To close on what it still sends would take the frame from it again. It may also leave now.
        with suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_LINGER):
                await self._up.ended.wait()

    def _tell_upstream(self, code: int, reason: str) -> None:
        transport = self._upstream.transport
        if transport is not None and self._up.frames.between and not self._up.frames.closed:
            transport.write(close_frame(code, reason, masked=True))
        self._up.drop()
        self._down.drop()
        self._leave_upstream()

    def _leave_upstream(self) -> None:
        # What was written still goes out, if the upstream reads it soon.
        transport = self._upstream.transport
        if transport is not None and not transport.is_closing():
            transport.close()
            self._loop.call_later(_LINGER, transport.abort)


class _Flow:
    """One direction: what arrives at *source* goes on to *sink*; while that takes no more, no more is read."""

    __slots__ = ("_drops", "_loop", "_sink", "_source", "_waiting", "ended", "frames", "moved")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, source: BaseProtocol, sink: BaseProtocol
    ) -> None:
        self._loop = loop
        self._source = source
        self._sink = sink
        self._drops = False
        self._waiting: asyncio.Task[None] | None = None
        self.frames = Frames()
        # When it last brought something.
        self.moved = 0.0
        # Whether no more comes that is passed on, or waited for.
        self.ended = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Passes *data* on. aiohttp calls this; what is returned tells it to go on."""
        self.moved = self._loop.time()
        self.frames.feed(data)
        sink = self._sink.transport
        if self._drops:
            if self.frames.closed:
                self.ended.set()
        elif sink is not None and not sink.is_closing():
            sink.write(data)
            if self._sink.writing_paused:
                self._pause()
        return False, b""

    def feed_eof(self) -> None:
        """Notes that no more comes. aiohttp calls this."""
        self.ended.set()

    def drop(self) -> None:
        """Passes nothing on any more, and ends when the source says, too, that it ends."""
        self._drops = True
        if self.frames.closed:
            self.ended.set()

    def stop(self) -> None:
        """Waits no longer for the sink."""
        if self._waiting is not None:
            self._waiting.cancel()

    def _pause(self) -> None:
        source = self._source.transport
        if source is None or source.is_closing():
            return
        # Again, if it has to be: aiohttp reads on by itself after what came before the 101.
        source.pause_reading()
        if self._waiting is None:
            self._waiting = self._loop.create_task(self._resume(source))

    async def _resume(self, source: asyncio.Transport) -> None:
        with suppress(ConnectionError):
            await StreamWriter(self._sink, self._loop).drain()
        self._waiting = None
        if not source.is_closing():
            source.resume_reading()
