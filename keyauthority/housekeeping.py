"""What has to go when its time is over: kept answers, old changes, and audit
entries if they have a term.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.domain.reading_audit import prune

TIDIED_EVERY: Final = 60.0
"""Seconds from one round to the next."""

CHANGES_KEPT: Final = 100_000
"""How many of the newest changes are kept. A verifier is told a thousand at a time at most."""

log = structlog.get_logger()


async def keep_house(store: Store, audit_retention: timedelta | None) -> None:
    """Makes its rounds until cancelled."""
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
