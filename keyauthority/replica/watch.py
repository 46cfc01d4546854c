"""The head of the books, as far as this process knows it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import Head

POLL: Final = 0.2
"""Seconds between two looks at the head. Hints only bring a look forward."""

SLOT: Final = 0.02
"""Seconds: waits that end within a slot end together at its beginning, by one timer. So the calls of
many verifiers are answered in a few batches, and none waits longer than it wants to.
"""

log = structlog.get_logger()


class Watch:
    """Wakes the calls that wait for changes. It may be late, and never decides anything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._head = Head(0, 0)
        # Whether a look that began when the head was what it is now found the books behind it.
        self._doubted = False
        # By the time when they end, at the latest.
        self._waits: dict[float, list[asyncio.Future[None]]] = {}
        self._hinted = asyncio.Event()
        self.closed = False
        """Whether nothing is waited for any more."""

    def hint(self, head: Head | None = None) -> None:
        """Notes that *head* was committed; without one, has the head looked at now: it may have moved."""
        if head is None:
            self._hinted.set()
        else:
            self._hear(head)

    def advanced(self, revision: int) -> None:
        """Notes that this process itself has committed *revision*."""
        self._hear(Head(self._head.epoch, revision))

    async def past(self, head: Head, seconds: float) -> bool:
        """Waits until the books are past *head*, *seconds* at most; returns whether they are."""
        loop = asyncio.get_running_loop()
        end = _end(loop.time(), seconds)
        while not self.closed and self._head <= head and loop.time() < end:
            await self._until(end)
        return self._head > head

    def close(self) -> None:
        """Ends all waiting, now and from now on."""
        self.closed = True
        self._wake()

    async def look(self) -> None:
        """Looks at the head now; raises `KeyAuthorityError`."""
        known = self._head
        head = (await self._store.snapshot(())).head
        if head < known == self._head:
            # Books that went back, which caches notice by themselves, or a hint of other books. Found
            # twice, it counts: else every wait would end at once for ever.
            if self._doubted:
                self._head = head
            self._doubted = not self._doubted
        self._hear(head)

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._hinted.wait()
            self._hinted.clear()
            try:
                await self.look()
            except KeyAuthorityError:
                continue
            except Exception:  # the next look tries again
                log.exception("head_unknown")

    def _hear(self, head: Head) -> None:
        if self._head < head:
            self._head, self._doubted = head, False
            self._wake()

    async def _until(self, end: float) -> None:
        # Returns at *end*, or when the head moves.
        loop = asyncio.get_running_loop()
        waits = self._waits.get(end)
        if waits is None:
            waits = self._waits[end] = []
            loop.call_at(end, self._ended, end)
        future = loop.create_future()
        waits.append(future)
        await future

    def _ended(self, end: float) -> None:
        _resolve(self._waits.pop(end, ()))

    def _wake(self) -> None:
        # The timers stay, for those that wait again until the same time.
        for waits in self._waits.values():
            _resolve(waits)
            waits.clear()


def _end(now: float, seconds: float) -> float:
    # The beginning of the last slot, unless that is far from what was asked for.
    slot = math.floor((now + seconds) / SLOT) * SLOT
    return slot if slot > now + seconds / 2 else now + seconds


def _resolve(waits: Sequence[asyncio.Future[None]]) -> None:
    for future in waits:
        # Whoever was cancelled waits no more.
        if not future.done():
            future.set_result(None)
