"""What people did in the console itself; what they did to keys is in the authority's audit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import eq, ge, lt
from typing import Any

from sqlalchemy import Column, select

from console.people.database import Database, Found
from console.people.records import Event
from console.people.tables import events


class History:
    """Written by what changes the books, within the same transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self,
        *,
        workspace_id: str | None = None,
        person_id: str | None = None,
        action: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int,
        before: int | None = None,
    ) -> list[Event]:
        """Up to *limit* events, newest first, from *start* until before *end*.

        *before* is the id of the last event of the page before.
        """
        wanted: tuple[tuple[Column[Any], Callable[[Any, Any], Any], object], ...] = (
            (events.c.workspace_id, eq, workspace_id),
            (events.c.person_id, eq, person_id),
            (events.c.action, eq, action),
            (events.c.time, ge, start),
            (events.c.time, lt, end),
            (events.c.id, lt, before),
        )
        conditions = [
            compare(column, value) for column, compare, value in wanted if value is not None
        ]
        query = select(events).where(*conditions).order_by(events.c.id.desc()).limit(limit)
        async with self._database.reading() as tx:
            return [_event(row) for row in await tx.all(query)]


def _event(row: Found) -> Event:
    return Event(
        id=row.id,
        time=row.time,
        person_id=row.person_id,
        person_email=row.person_email,
        workspace_id=row.workspace_id,
        action=row.action,
        subject=row.subject,
        details=row.details,
        source=row.source,
    )
