"""Reading and pruning the audit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.books import Books, Change, Work
from keyauthority.domain.callers import Actor, Insider
from keyauthority.domain.errors import invalid
from keyauthority.domain.facts import Action, Fact

AT_ONCE: Final = 1_000
"""How many entries are deleted in a transaction."""


class ReadingAudit:
    """Shows the audit, and lets the oldest of it go, *at_once* entries in a transaction."""

    def __init__(self, books: Books, at_once: int = AT_ONCE) -> None:
        self._books = books
        self._at_once = at_once

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        """Up to *limit* entries, newest first, of ids below *before*."""
        return await self._books.read(lambda tx: tx.audit.page(which, limit, before))

    async def prune(self, actor: Actor, before: datetime | None) -> int:
        """Deletes the entries older than *before*, so many at a time that nothing else waits for long.

        Each time leaves an entry that says so. Raises `FIELD_INVALID`.
        """

        async def first(change: Change) -> int:
            if before is None or before > change.tx.time:
                raise invalid("before_time", "is missing or in the future")
            return await self._prune(change, before)

        return await self._prune_all(actor, first)

    async def keep_for(self, actor: Insider, retention: timedelta) -> int:
        """The same for the entries that are older than *retention*, without a word if there are none."""

        async def some(change: Change) -> int:
            return await self._prune(change, change.tx.time - retention, quietly=True)

        return await self._prune_all(actor, some)

    async def _prune_all(self, actor: Actor | Insider, work: Work[int]) -> int:
        deleted = some = await self._books.record(actor, work)
        while some == self._at_once:
            deleted += (some := await self._books.record(actor, work))
        return deleted

    async def _prune(self, change: Change, before: datetime, *, quietly: bool = False) -> int:
        some = await change.tx.audit.prune(before, self._at_once)
        if some or not quietly:
            details = {"before": before.isoformat(), "deleted": str(some)}
            change.records(Fact(Action.AUDIT_PRUNED, details))
        return some
