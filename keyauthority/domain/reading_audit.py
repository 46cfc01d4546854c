"""Listing and pruning the audit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.books import Books, Change, Work
from keyauthority.domain.callers import Actor, Insider
from keyauthority.domain.errors import invalid
from keyauthority.domain.facts import Action, Fact

AT_ONCE: Final = 1_000
"""How many entries one transaction deletes, so that no transaction waits for it for long."""


class ReadingAudit:
    """Lists the audit, and prunes it by *at_once* entries in a transaction."""

    def __init__(self, books: Books, at_once: int = AT_ONCE) -> None:
        self._books = books
        self._at_once = at_once

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        """Returns up to *limit* entries, newest first, with ids below *before*."""
        return await self._books.read(lambda tx: tx.audit.page(which, limit, before))

    async def prune(self, actor: Actor, before: datetime | None) -> int:
        """Deletes the entries older than *before* and returns how many; raises `FIELD_INVALID`.

        Each transaction leaves an entry.
        """

        async def work(change: Change) -> int:
            if before is None or before > change.tx.time:
                raise invalid("before_time", "is missing or in the future")
            return await self._prune(change, before)

        return await self._prune_all(actor, work)

    async def keep_for(self, actor: Insider, retention: timedelta) -> int:
        """Does the same for entries older than *retention*; leaves no entry if it deletes none."""

        async def work(change: Change) -> int:
            return await self._prune(change, change.tx.time - retention, quietly=True)

        return await self._prune_all(actor, work)

    async def _prune_all(self, actor: Actor | Insider, work: Work[int]) -> int:
        deleted = count = await self._books.record(actor, work, size=self._at_once)
        while count == self._at_once:
            deleted += (count := await self._books.record(actor, work, size=self._at_once))
        return deleted

    async def _prune(self, change: Change, before: datetime, *, quietly: bool = False) -> int:
        deleted = await change.tx.audit.prune(before, self._at_once)
        if deleted or not quietly:
            details = {"before": before.isoformat(), "deleted": str(deleted)}
            change.records(Fact(Action.AUDIT_PRUNED, details))
        return deleted
