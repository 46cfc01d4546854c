"""The audit entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.storage.memory.books import Books


class MemoryAuditLog:
    """`AuditLog` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        for entry in entries:
            self._books.audited += 1
            self._books.audit[self._books.audited] = replace(entry, id=self._books.audited)

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        newest_first = reversed(self._books.audit.values())
        matching = (
            entry
            for entry in newest_first
            if (before is None or entry.id < before) and _matches(which, entry)
        )
        return [entry for entry, _ in zip(matching, range(limit), strict=False)]

    async def prune(self, before: datetime, limit: int) -> int:
        old = [entry.id for entry in self._books.audit.values() if entry.time < before][:limit]
        for entry_id in old:
            del self._books.audit[entry_id]
        return len(old)


def _matches(which: AuditFilter, entry: AuditEntry) -> bool:
    return (
        which.subject in ("", entry.subject)
        and which.workspace_id in ("", entry.workspace_id)
        and which.caller_id in ("", entry.caller_id)
        and which.person_id in ("", entry.person_id)
        and which.method in ("", entry.method)
        and which.action in (None, entry.action)
        and (which.start is None or which.start <= entry.time)
        and (which.end is None or entry.time < which.end)
    )
