"""Turns at something scarce, a few at a time, shared fairly by those who ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heapify, heappop, heappush
from itertools import count


class Turns:
    """Lets *at_once* go on; of the others, those next whose peer has the fewest before them.

    Start-time fair queueing: each peer's calls are numbered on from what is served now, and the
    lowest number goes first. So a peer with a thousand calls waiting delays another's one call by
    one of them.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._served = 0
        self._last: dict[str, int] = {}
        self._arrivals = count()
        self._waiting: list[tuple[int, int, str, asyncio.Future[None]]] = []
        self._gone = 0

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """Waits until it is *peer*'s turn, which lasts until this is left."""
        await self.come(peer)
        try:
            yield
        finally:
            self.pass_on()

    async def come(self, peer: str) -> None:
        """Returns when it is *peer*'s turn, which lasts until `pass_on` is called."""
        if self._free:
            self._free -= 1
            return
        number = self._last[peer] = max(self._served, self._last.get(peer, 0)) + 1
        called = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (number, next(self._arrivals), peer, called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                # Called in the moment in which it left.
                self.pass_on()
            else:
                self._leave()
            raise

    def pass_on(self) -> None:
        """Ends a turn: the next one's begins."""
        while self._waiting:
            number, _, peer, called = heappop(self._waiting)
            if self._last.get(peer) == number:
                del self._last[peer]
            if not called.done():
                self._served = number
                called.set_result(None)
                return
            self._gone -= 1
        self._free += 1

    def _leave(self) -> None:
        # Those who left are taken out before they are more than those who wait: nobody fills memory
        # by coming and leaving.
        self._gone += 1
        if 2 * self._gone > len(self._waiting):
            self._waiting = [one for one in self._waiting if not one[-1].done()]
            heapify(self._waiting)
            self._gone = 0
            self._last = {}
            for number, _, peer, _ in self._waiting:
                self._last[peer] = max(number, self._last.get(peer, 0))
