"""Shares something scarce among peers.

A peer is the other end of a connection, as gRPC writes it: `ipv4:10.0.0.7:41522`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from heapq import heapify, heappop, heappush
from ipaddress import ip_network
from itertools import count
from urllib.parse import unquote

from keyauthority.domain.errors import KeyAuthorityError, Reason


def host_of(peer: str) -> str:
    """Returns the host of *peer*: for IPv6 its /64, all of which belongs to one site."""
    family, _, address = peer.partition(":")
    host = address.rpartition(":")[0]
    if family != "ipv6":
        return f"{family}:{host}"
    return str(ip_network((unquote(host).strip("[]").partition("%")[0], 64), strict=False))


class PeerPlaces:
    """A limit of *most* calls at once that no peer can use up alone, for calls without a caller.

    A connection has up to *per_connection* places. A host has at most as many as remain free, so one
    host gets half of all places and a second one half of the rest. Connections by Unix socket have
    passed its permissions: they count, but only the total limits them.
    """

    def __init__(self, most: int, per_connection: int) -> None:
        self._most = most
        self._per_connection = per_connection
        self._taken = 0
        self._taken_by: Counter[str] = Counter()

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """Holds a place for a call of *peer*; raises `OVERLOADED` if no place is left for it."""
        host = host_of(peer)
        self._check_room(peer, host)
        self._taken += 1
        self._taken_by.update((peer, host))
        try:
            yield
        finally:
            self._taken -= 1
            for holder in (peer, host):
                self._taken_by[holder] -= 1
                if not self._taken_by[holder]:
                    del self._taken_by[holder]

    def _check_room(self, peer: str, host: str) -> None:
        free = self._most - self._taken
        has_room = peer.startswith("unix:") or (
            self._taken_by[peer] < self._per_connection and self._taken_by[host] < free
        )
        if free <= 0 or not has_room:
            raise KeyAuthorityError(Reason.OVERLOADED, "too many calls of this kind are under way")


class Turns:
    """Lets *at_once* calls run and the others wait in a fair order.

    Start-time fair queueing: the calls of each peer are numbered from the number served last, and
    the lowest number is next. So a thousand waiting calls of one peer delay another peer's call by
    one call.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._served = 0
        self._last: dict[str, int] = {}
        self._arrivals = count()
        self._waiting: list[tuple[int, int, str, asyncio.Future[None]]] = []
        self._cancelled = 0

    @asynccontextmanager
    async def turn(self, peer: str) -> AsyncIterator[None]:
        """Waits for a turn of *peer* and holds it."""
        await self.acquire(peer)
        try:
            yield
        finally:
            self.release()

    async def acquire(self, peer: str) -> None:
        """Waits for a turn of *peer*, which lasts until `release`."""
        if self._free:
            self._free -= 1
            return
        number = self._last[peer] = max(self._served, self._last.get(peer, 0)) + 1
        turn = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (number, next(self._arrivals), peer, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The turn came in the same moment as the cancellation.
                self.release()
            else:
                self._discard_cancelled()
            raise

    def release(self) -> None:
        """Ends a turn, and begins the next call's."""
        while self._waiting:
            number, _, peer, turn = heappop(self._waiting)
            if self._last.get(peer) == number:
                del self._last[peer]
            if not turn.done():
                self._served = number
                turn.set_result(None)
                return
            self._cancelled -= 1
        self._free += 1

    def _discard_cancelled(self) -> None:
        # Cancelled calls never outnumber waiting ones in the queue: nobody can fill memory with them.
        self._cancelled += 1
        if 2 * self._cancelled > len(self._waiting):
            self._waiting = [entry for entry in self._waiting if not entry[-1].done()]
            heapify(self._waiting)
            self._cancelled = 0
            self._last = {}
            for number, _, peer, _ in self._waiting:
                self._last[peer] = max(number, self._last.get(peer, 0))
