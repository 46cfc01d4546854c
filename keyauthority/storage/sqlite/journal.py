"""Emptying the journal (the WAL) of what was destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError

AGAIN: Final = 1.0
"""Seconds until the journal is tried again that a reader of the file keeps from being emptied."""

log = structlog.get_logger()


class Journal:
    """Deleted rows are overwritten in the file, but earlier copies of their pages stay in the journal
    until it is emptied. That can't be done while another program reads the file (a backup, an open
    shell): then it is done as soon as that is gone, and nobody waits for it.

    Args:
        empty: Empties the journal if that can be done at once, and says whether it is done.
        alone: The same, for whoever is not alone with the connection yet.
    """

    def __init__(
        self, empty: Callable[[], Awaitable[bool]], alone: Callable[[], Awaitable[bool]]
    ) -> None:
        self._empty = empty
        self._alone = alone
        self._later: asyncio.Task[None] | None = None

    async def empty(self) -> None:
        """Empties it now, or else as soon as it can be."""
        if not await _tried(self._empty) and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._empty_later())

    async def close(self) -> None:
        """Tries no more: whoever closes the last connection to the file leaves no journal."""
        if self._later is not None:
            self._later.cancel()
            with suppress(asyncio.CancelledError):
                await self._later

    async def _empty_later(self) -> None:
        log.info("journal_not_emptied", why="another program reads the database")
        while True:
            await asyncio.sleep(AGAIN)
            if await _tried(self._alone):
                log.info("journal_emptied")
                return


async def _tried(empty: Callable[[], Awaitable[bool]]) -> bool:
    # The change is made: should this fail, the next attempt comes to the same.
    try:
        return await empty()
    except KeyAuthorityError:
        return False
