"""A pool of connections."""

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
"""Seconds that a task waits for a connection."""


class Pool(Generic[L]):
    """Up to *size* connections, opened when needed. A broken connection is dropped, never reused.

    So the pool recovers by itself when the server is back: the next task opens a new connection.
    """

    def __init__(self, connect: Callable[[], Awaitable[L]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._idle: list[L] = []
        self._open = True

    @asynccontextmanager
    async def link(self) -> AsyncIterator[L]:
        """Yields a connection for the caller alone; raises `STORE_UNAVAILABLE`."""
        await self._take_place()
        try:
            link = await self._idle_or_new()
            try:
                yield link
            finally:
                await self._put_back(link)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Lends no more connections, waits a while for those lent, and cuts all of them."""
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

    async def _idle_or_new(self) -> L:
        while True:
            self._check_open()
            while self._idle:
                link = self._idle.pop()
                if link.usable:
                    return link
                await to_the_end(link.close())
            # A task that is cancelled meanwhile leaves the connection to others.
            await to_the_end(self._add())

    async def _add(self) -> None:
        with outages():
            self._idle.append(await self._connect())

    async def _put_back(self, link: L) -> None:
        if self._open:
            self._idle.append(link)
        else:
            await to_the_end(link.close())

    def _check_open(self) -> None:
        if not self._open:
            raise unavailable(CLOSED)
