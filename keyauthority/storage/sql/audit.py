"""The audit entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, select

from keyauthority.domain import earlier
from keyauthority.domain.auditing import AuditEntry, AuditFilter
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import audit


class SqlAuditLog:
    """`AuditLog` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        if entries:
            await self._statements.count(insert(audit), [_row(entry) for entry in entries])

    async def page(self, which: AuditFilter, limit: int, before: int | None) -> list[AuditEntry]:
        query = select(audit).where(*_matches(which))
        if before is not None:
            query = query.where(audit.c.id < before)
        rows = await self._statements.rows(query.order_by(audit.c.id.desc()).limit(limit))
        return [_entry(row) for row in rows]

    async def prune(self, before: datetime, limit: int) -> int:
        old = select(audit.c.id).where(audit.c.time < before).order_by(audit.c.time).limit(limit)
        return await self._statements.count(delete(audit).where(audit.c.id.in_(old)))


_NAMES: Final = tuple(column.key for column in audit.c)


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _NAMES if name != "id"}


def _entry(row: Sequence[Any]) -> AuditEntry:
    fields: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
    if fields["action"] is None:
        # A process of an older version wrote it.
        told = earlier.fact(
            fields["method"], fields["subject"], fields["details"], refused=fields["refused"]
        )
        fields.update(action=told.action, details=told.details)
    return AuditEntry(**fields)


def _matches(which: AuditFilter) -> list[ColumnElement[bool]]:
    conditions = [
        column == wanted
        for column, wanted in (
            (audit.c.subject, which.subject),
            (audit.c.workspace_id, which.workspace_id),
            (audit.c.caller_id, which.caller_id),
            (audit.c.person_id, which.person_id),
            (audit.c.method, which.method),
            (audit.c.action, which.action),
        )
        if wanted
    ]
    if which.start is not None:
        conditions.append(audit.c.time >= which.start)
    if which.end is not None:
        conditions.append(audit.c.time < which.end)
    return conditions
