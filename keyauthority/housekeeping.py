"""What has to go when its time is over: kept answers, old changes, and audit
entries if they have a term.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import structlog

from keyauthority.domain.books import Books, Upkeep, upkeep
from keyauthority.domain.callers import authority
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.domain.reading_audit import ReadingAudit

TIDIED_EVERY: Final = 60.0
"""Seconds from one round to the next."""

PRUNED_EVERY: Final = 3600.0
"""Seconds from one look at the audit to the next: each that deletes something leaves an entry."""

CHANGES_KEPT: Final = 100_000
"""How many of the newest changes are kept. A verifier is told a thousand at a time at most."""

log = structlog.get_logger()


async def keep_house(store: Store, books: Books, audit_retention: timedelta | None) -> None:
    """Makes its rounds until cancelled."""
    rounds = [_rounds(lambda: upkeep(store, tidy), TIDIED_EVERY)]
    if audit_retention is not None:
        audit, who = ReadingAudit(books), authority("housekeeping")
        rounds.append(_rounds(lambda: audit.keep_for(who, audit_retention), PRUNED_EVERY))
    await asyncio.gather(*rounds)


async def tidy(books: Upkeep) -> None:
    """Destroys the answers kept for repeats that are over, and changes so old that whoever has not
    applied them starts over.
    """
    await books.replays.prune(books.time)
    await books.feed.prune(CHANGES_KEPT)


async def _rounds(work: Callable[[], Awaitable[Any]], seconds: float) -> None:
    while True:
        try:
            await work()
        except KeyAuthorityError as error:
            log.warning("not_tidied", reason=error.reason.name)
        except Exception:  # the next round may fare better
            log.exception("not_tidied")
        await asyncio.sleep(seconds)
