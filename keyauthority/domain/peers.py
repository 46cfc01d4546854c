"""Who is at the other end of a connection, as gRPC writes it (`ipv4:10.0.0.7:41522`), and its share."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final
from urllib.parse import unquote

from keyauthority.domain.errors import KeyAuthorityError, Reason

_PREFIX: Final = 4
"""The groups of an IPv6 address that tell one site's network from another's."""


def host_of(peer: str) -> str:
    """The host that *peer* is a connection of: an IPv6 one by its /64, which one site has whole."""
    family, _, address = peer.partition(":")
    host = address.rpartition(":")[0]
    if family != "ipv6":
        return f"{family}:{host}"
    groups = ipaddress.ip_address(unquote(host).strip("[]").partition("%")[0]).exploded
    return f"{family}:{':'.join(groups.split(':')[:_PREFIX])}"


class PeerPlaces:
    """Places that no peer can fill alone, for calls that anybody may make.

    A connection has up to *per_connection*, a host as many as it leaves free: one alone half of
    them, a second one half of the rest. An IPv6 host counts with its /64. Whoever comes by a Unix
    socket was let in by its permissions, and is only counted.
    """

    def __init__(self, most: int, per_connection: int) -> None:
        self._most = most
        self._per_connection = per_connection
        self._taken = 0
        self._of: Counter[str] = Counter()

    @contextmanager
    def place(self, peer: str) -> Iterator[None]:
        """Takes a place for a call of *peer* until this is left.

        Raises `OVERLOADED` if there is none for it.
        """
        self._enter(peer)
        try:
            yield
        finally:
            self._leave(peer)

    def _enter(self, peer: str) -> None:
        free = self._most - self._taken
        if free <= 0 or not self._has_room(peer, free):
            raise KeyAuthorityError(Reason.OVERLOADED, "too many calls of this kind are under way")
        self._taken += 1
        self._of.update((peer, host_of(peer)))

    def _leave(self, peer: str) -> None:
        self._taken -= 1
        for one in (peer, host_of(peer)):
            self._of[one] -= 1
            if not self._of[one]:
                del self._of[one]

    def _has_room(self, peer: str, free: int) -> bool:
        if peer.startswith("unix:"):
            return True
        return self._of[peer] < self._per_connection and self._of[host_of(peer)] < free


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
