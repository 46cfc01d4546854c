"""What people did in the console itself; what they did to keys is in the authority's audit."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select

from gateway.console.people.database import Database
from gateway.console.people.records import Event, Origin
from gateway.console.people.tables import events


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
        wanted = (
            (workspace_id, events.c.workspace_id == workspace_id),
            (person_id, events.c.person_id == person_id),
            (action, events.c.action == action),
            (start, events.c.time >= start),
            (end, events.c.time < end),
            (before, events.c.id < before),
        )
        conditions = [condition for value, condition in wanted if value is not None]
        query = select(events).where(*conditions).order_by(events.c.id.desc()).limit(limit)
        async with self._database.reading() as tx:
            return [Event(*row) for row in await tx.all(query)]

    async def record(
        self,
        by: Origin,
        action: str,
        *,
        subject: str = "",
        workspace_id: str = "",
        **details: str,
    ) -> None:
        """Keeps what was done elsewhere than in these books, such as `workspace.create`."""
        async with self._database.changing() as tx:
            await tx.record(by, action, subject, workspace_id, **details)

    async def prune(self, before: datetime) -> int:
        """Drops what happened before *before*; gives how many events that were."""
        async with self._database.changing() as tx:
            return await tx.count(delete(events).where(events.c.time < before))
