"""Writing down when secrets were last used, behind the backs of those who use them."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import Final

import structlog

from keyauthority.domain.books import Upkeep, upkeep
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.last_used import LastUsed, Marks
from keyauthority.domain.ports import Store

WRITTEN_EVERY: Final = 10.0
"""Seconds from one round to the next."""

log = structlog.get_logger()


async def write_behind(store: Store, last_used: LastUsed) -> None:
    """Writes what is due, round after round, until cancelled; then all that is left."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(WRITTEN_EVERY)
            await write(store, last_used, loop.time())
    finally:
        await write(store, last_used, math.inf)


async def write(store: Store, last_used: LastUsed, now: float) -> None:
    """Writes what is due at *now*; what can't be written is due again in the next round."""
    try:
        for marks in last_used.due(now):
            await upkeep(store, partial(_note, marks))
            last_used.written(marks, now)
    except KeyAuthorityError as error:
        log.warning("last_used_not_written", reason=error.reason.name)
    except Exception:  # the next round may fare better
        log.exception("last_used_not_written")


async def _note(marks: Marks, books: Upkeep) -> None:
    await books.last_used.note(marks)
