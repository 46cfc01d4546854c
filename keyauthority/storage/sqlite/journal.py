"""Emptying the journal (the WAL) of destroyed rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError

AGAIN: Final = 1.0
"""Seconds until the next attempt, while a reader of the file keeps the journal from being emptied."""

log = structlog.get_logger()


class Journal:
    """Empties the journal, at once or as soon as possible.

    Deleted rows are overwritten in the file, but earlier copies of their pages stay in the journal
    until it is emptied. That is impossible while another program reads the file (a backup, an open
    shell): then it happens once that program is gone, and nobody waits for it.

    Args:
        empty: Empties the journal if that is possible now, and returns whether it did.
    """

    def __init__(self, empty: Callable[[], Awaitable[bool]]) -> None:
        self._empty = empty
        self._later: asyncio.Task[None] | None = None

    async def empty(self) -> None:
        """Empties the journal now, or else as soon as possible."""
        if not await _try(self._empty) and (self._later is None or self._later.done()):
            self._later = asyncio.create_task(self._empty_later())

    async def close(self) -> None:
        """Stops trying: whoever closes the last connection to the file leaves no journal."""
        if self._later is not None:
            self._later.cancel()
            with suppress(asyncio.CancelledError):
                await self._later

    async def _empty_later(self) -> None:
        log.info("journal_not_emptied", why="another program reads the database")
        while True:
            await asyncio.sleep(AGAIN)
            if await _try(self._empty):
                log.info("journal_emptied")
                return


async def _try(empty: Callable[[], Awaitable[bool]]) -> bool:
    # The change is committed: if emptying fails, the next attempt does the same.
    try:
        return await empty()
    except KeyAuthorityError:
        return False
