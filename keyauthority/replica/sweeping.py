"""Ending the sessions of verifiers that nobody hears of any more."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from keyauthority import boottime
from keyauthority.coherence.janitor import Janitor
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Sessions

SWEPT_EVERY: Final = 0.5
"""Seconds from one look at the sessions to the next."""

log = structlog.get_logger()


async def sweep(sessions: Sessions) -> None:
    """Makes its rounds until cancelled."""
    janitor = Janitor()
    while True:
        try:
            await _round(sessions, janitor)
        except KeyAuthorityError:
            pass  # Told elsewhere; the next round may fare better.
        except Exception:
            log.exception("sessions_not_swept")
        await asyncio.sleep(SWEPT_EVERY)


async def _round(sessions: Sessions, janitor: Janitor) -> None:
    found = await sessions.all()
    terms = (await sessions.behind(0)).terms
    over = janitor.look(
        [(one.id, one.beat) for one in found], boottime.now(), wait_out(terms.longest_lease)
    )
    for session_id, beat in over:
        await sessions.remove(session_id, beat)
        log.info("session_removed", session=session_id)
