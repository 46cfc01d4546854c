"""What is done to the books beside the calls: what is over goes, and uses of secrets are written."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Store
from keyauthority.domain.reading_audit import prune

TIDIED_EVERY: Final = 60.0
"""Seconds from one round to the next."""

CHANGES_KEPT: Final = 100_000
"""How many of the newest changes are kept. A verifier is told a thousand at a time at most."""

WRITTEN_EVERY: Final = 10.0
"""Seconds from one writing of uses to the next."""

log = structlog.get_logger()


async def keep_house(store: Store, audit_retention: timedelta | None) -> None:
    """Tidies, round after round, until cancelled."""
    while True:
        try:
            await tidy(store, audit_retention)
        except KeyAuthorityError as error:
            log.warning("not_tidied", reason=error.reason.name)
        except Exception:  # the next round may fare better
            log.exception("not_tidied")
        await asyncio.sleep(TIDIED_EVERY)


async def tidy(store: Store, audit_retention: timedelta | None) -> None:
    """Destroys the answers kept for repeats that are over, the audit entries past their term, and
    changes so old that whoever has not applied them starts over.
    """
    async with store.changing() as tx:
        await tx.replays.prune(tx.time)
        await tx.feed.prune(CHANGES_KEPT)
        now = tx.time
    if audit_retention is not None:
        await prune(store, now - audit_retention)


async def keep_writing_uses(store: Store, last_used: LastUsed) -> None:
    """Writes what is due, round after round, until cancelled; then all that is left."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(WRITTEN_EVERY)
            await write_uses(store, last_used, loop.time())
    finally:
        await write_uses(store, last_used, math.inf)


async def write_uses(store: Store, last_used: LastUsed, now: float) -> None:
    """Writes what is due at *now*; what can't be written is due again in the next round."""
    try:
        for marks in last_used.due(now):
            async with store.changing() as tx:
                await tx.last_used.note(marks)
            last_used.written(marks, now)
    except KeyAuthorityError as error:
        log.warning("last_used_not_written", reason=error.reason.name)
    except Exception:  # the next round may fare better
        log.exception("last_used_not_written")
