"""Connections, kept for reuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Generic, TypeVar

from keyauthority.base.process.tasks import to_the_end
from keyauthority.storage.errors import CLOSED, outages, unavailable
from keyauthority.storage.postgres.link import Link

L = TypeVar("L", bound=Link)

PATIENCE: Final = 2.0
"""Seconds that somebody waits for a connection."""


class Pool(Generic[L]):
    """Up to *size* connections, made when needed. One that broke is dropped, never handed on.

    So it recovers by itself when the server is back: whoever comes next makes a new one.
    """

    def __init__(self, make: Callable[[], Awaitable[L]], size: int) -> None:
        self._make = make
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._idle: list[L] = []
        self._open = True

    @asynccontextmanager
    async def link(self) -> AsyncIterator[L]:
        """A connection for one's own; raises `STORE_UNAVAILABLE`."""
        await self._take_place()
        try:
            link = await self._at_hand()
            try:
                yield link
            finally:
                await self._put_back(link)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Lets nobody in any more, waits a while for those who are, and cuts all connections."""
        self._open = False
        for _ in range(self._size):
            try:
                await asyncio.wait_for(self._places.acquire(), PATIENCE)
            except TimeoutError:
                break
        while self._idle:
            await self._idle.pop().close()

    async def _take_place(self) -> None:
        self._check_open()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._places.acquire()
        except TimeoutError:
            raise unavailable("the database is too busy") from None

    async def _at_hand(self) -> L:
        while True:
            self._check_open()
            while self._idle:
                link = self._idle.pop()
                if link.usable:
                    return link
                await to_the_end(link.close())
            # Who is cancelled meanwhile leaves the connection to others.
            await to_the_end(self._add())

    async def _add(self) -> None:
        with outages():
            self._idle.append(await self._make())

    async def _put_back(self, link: L) -> None:
        if self._open:
            self._idle.append(link)
        else:
            await to_the_end(link.close())

    def _check_open(self) -> None:
        if not self._open:
            raise unavailable(CLOSED)
