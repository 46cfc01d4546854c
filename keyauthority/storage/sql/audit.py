"""The audit entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, select

from keyauthority.domain import earlier
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.domain.facts import Fact
from keyauthority.storage.sql.statements import Repository
from keyauthority.storage.tables import audit


class SqlAuditLog(Repository):
    """`AuditLog` within one transaction."""

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        await self._statements.write(_ENTRIES, [_row(entry) for entry in entries])

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        query = select(audit).where(*_matches(which))
        if before is not None:
            query = query.where(audit.c.id < before)
        rows = await self._statements.rows(query.order_by(audit.c.id.desc()).limit(limit))
        return [_entry(row) for row in rows]

    async def prune(self, before: datetime, limit: int) -> int:
        old = select(audit.c.id).where(audit.c.time < before).order_by(audit.c.time).limit(limit)
        return await self._statements.count(delete(audit).where(audit.c.id.in_(old)))


_ENTRIES: Final = insert(audit)
_COLUMNS: Final = tuple(name for name in audit.c.keys() if name != "id")  # noqa: SIM118


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS}


def _entry(row: Any) -> AuditEntry:
    # The columns keep the names from before there were facts: `action` is the method.
    values = row._asdict()
    method, action = values.pop("action"), values.pop("fact")
    if action is None:
        # A process of an older version wrote it.
        fact = earlier.fact(method, row.subject, row.details, refused=row.refused)
    else:
        fact = Fact(action, row.details)
    values["details"] = fact.details
    return AuditEntry(**values, method=method, action=fact.action)


def _matches(which: AuditFilter) -> list[ColumnElement[bool]]:
    conditions = [
        column == value
        for column, value in (
            (audit.c.subject, which.subject),
            (audit.c.workspace_id, which.workspace_id),
            (audit.c.caller_id, which.caller_id),
            (audit.c.person_id, which.person_id),
            (audit.c.method, which.method),
            (audit.c.action, which.action),
        )
        if value
    ]
    if which.start is not None:
        conditions.append(audit.c.time >= which.start)
    if which.end is not None:
        conditions.append(audit.c.time < which.end)
    return conditions
