"""Reading and pruning the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import invalid
from keyauthority.domain.ports import Store

AT_ONCE: Final = 1_000
"""How many entries are deleted in a transaction."""


class ReadingAudit:
    """Shows the audit, and lets the oldest of it go."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        """Up to *limit* entries, newest first, of ids below *before*."""
        async with self._store.reading() as tx:
            return await tx.audit.page(which, limit, before)

    async def prune(self, actor: Actor, before: datetime | None) -> int:
        """Deletes the entries older than *before*, leaving one that says so; raises `FIELD_INVALID`."""
        async with self._store.reading() as tx:
            if before is None or before > tx.time:
                raise invalid("before_time", "is missing or in the future")
        deleted = await prune(self._store, before)
        async with self._store.changing() as tx:
            details = {"before": before.isoformat(), "deleted": str(deleted)}
            await tx.audit.append([actor.entry(tx.time, details=details)])
        return deleted


async def prune(store: Store, before: datetime) -> int:
    """Deletes the entries older than *before*, so many at a time that nothing else waits for long."""
    deleted = 0
    while True:
        async with store.changing() as tx:
            some = await tx.audit.prune(before, AT_ONCE)
        deleted += some
        if some < AT_ONCE:
            return deleted
