"""The upkeep of the books beside the calls: pruning, and writing when secrets were last used."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog

from keyauthority.domain.books import Books, Upkeep, upkeep
from keyauthority.domain.callers import authority
from keyauthority.domain.credits.crediting import Crediting
from keyauthority.domain.credits.releasing import Releasing
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.last_used import LastUsed, Marks
from keyauthority.domain.ports import Store
from keyauthority.domain.reading_audit import ReadingAudit
from keyauthority.replica.metrics import ReplicaMetrics

TIDIED_EVERY: Final = 60.0
"""Seconds from one round to the next."""

PRUNED_EVERY: Final = 3600.0
"""Seconds from one pruning of the audit to the next: each that deletes entries leaves an entry."""

RELEASED_EVERY: Final = 5.0
"""Seconds from one look for slices of sessions that are over to the next."""

CHANGES_KEPT: Final = 100_000
"""How many of the newest changes are kept. One Sync brings a thousand at most."""

WRITTEN_EVERY: Final = 10.0
"""Seconds from one writing of uses to the next."""

log = structlog.get_logger()


async def keep_house(
    store: Store,
    books: Books,
    audit_retention: timedelta | None,
    metrics: ReplicaMetrics,
    tidied_every: float = TIDIED_EVERY,
    pruned_every: float = PRUNED_EVERY,
    released_every: float = RELEASED_EVERY,
) -> None:
    """Prunes the books, has credits expire and slices go back, round after round until cancelled.

    *metrics* tell what stands in slices.
    """

    async def tell_escrowed() -> None:
        metrics.escrowed.set(await releasing.escrowed())

    rounds = [_rounds(lambda: upkeep(store, tidy), tidied_every)]
    rounds.append(_rounds(lambda: expire_credits(Crediting(books)), tidied_every))
    releasing = Releasing(books, store.sessions)
    rounds.append(_rounds(tell_escrowed, tidied_every))
    rounds.append(_rounds(lambda: release_slices(releasing), released_every))
    if audit_retention is not None:
        audit, actor = ReadingAudit(books), authority("housekeeping")
        rounds.append(_rounds(lambda: audit.keep_for(actor, audit_retention), pruned_every))
    await asyncio.gather(*rounds)


async def tidy(books: Upkeep) -> None:
    """Destroys the expired answers kept for repeats, and all but the newest changes."""
    await books.prune_replays(books.time)
    await books.prune_changes(CHANGES_KEPT)


async def expire_credits(crediting: Crediting) -> None:
    """Has expire all credits that are due. What fails for one workspace holds up no other."""
    await _each(crediting.due, crediting.expire, "not_expired")


async def release_slices(releasing: Releasing) -> None:
    """Sets aside the slices of sessions that are over, and gives back those whose time has come.

    What fails for one workspace holds up no other.
    """
    await releasing.set_aside()
    await _each(releasing.due, releasing.release, "not_released")


async def _each(
    due_after: Callable[[str], Awaitable[list[str]]],
    work: Callable[[str], Awaitable[Any]],
    failure: str,
) -> None:
    # Does *work* for each workspace that is due, page by page.
    last = ""
    while due := await due_after(last):
        for workspace_id in due:
            with _logged(failure, workspace_id=workspace_id):
                await work(workspace_id)
        last = due[-1]


@contextmanager
def _logged(event: str, **facts: str) -> Iterator[None]:
    # The next round tries again.
    try:
        yield
    except KeyAuthorityError as error:
        log.warning(event, reason=error.reason.name, **facts)
    except Exception:
        log.exception(event, **facts)


async def _rounds(work: Callable[[], Awaitable[Any]], seconds: float) -> None:
    while True:
        with _logged("not_tidied"):
            await work()
        await asyncio.sleep(seconds)


async def keep_writing_uses(
    store: Store, last_used: LastUsed, every: float = WRITTEN_EVERY
) -> None:
    """Writes the uses that are due, round after round, until cancelled; then all others."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            await asyncio.sleep(every)
            await write_uses(store, last_used, loop.time())
    finally:
        await write_uses(store, last_used, math.inf)


async def write_uses(store: Store, last_used: LastUsed, now: float) -> None:
    """Writes the uses that are due at *now*; those that can't be written stay due."""
    with _logged("last_used_not_written"):
        for marks in last_used.due(now):
            await upkeep(store, partial(_note, marks))
            last_used.written(marks, now)


async def _note(marks: Marks, books: Upkeep) -> None:
    await books.note_uses(marks)
