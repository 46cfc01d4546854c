"""The head of the books, as far as this process knows it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import Head

POLL: Final = 0.2
"""Seconds between two looks at the head. Hints only bring a look forward."""

log = structlog.get_logger()


class Watch:
    """Wakes the calls that wait for changes. It may be late, and never decides anything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._head = self._lower = Head(0, 0)
        self._moved = asyncio.Event()
        self._hinted = asyncio.Event()
        self.closed = False
        """Whether nothing is waited for any more."""

    def hint(self) -> None:
        """Has the head looked at now, since it may have moved."""
        self._hinted.set()

    def advanced(self, revision: int) -> None:
        """Notes that this process itself has committed *revision*."""
        self._hear(Head(self._head.epoch, revision))

    async def past(self, head: Head, seconds: float) -> bool:
        """Waits until the books are past *head*, *seconds* at most; returns whether they are."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.closed and self._head <= head:
                    await self._moved.wait()
        return self._head > head

    def close(self) -> None:
        """Ends all waiting, now and from now on."""
        self.closed = True
        self._wake()

    async def look(self) -> None:
        """Looks at the head now; raises `KeyAuthorityError`."""
        head = (await self._store.snapshot(())).head
        # Caches notice books that went back (on SQLite after the next change). Seen twice, their head counts here too: else every wait
        # would end at once for ever.
        if self._head > head and head == self._lower:
            self._head = head
        self._lower = head
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
            self._head = head
            self._wake()

    def _wake(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()
