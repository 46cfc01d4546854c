"""The history of what people did in the console itself; the authority's audit has the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from operator import eq, ge, lt
from typing import Any

from sqlalchemy import Column, select

from console.people.database import Database
from console.people.records import Event
from console.people.tables import events


class History:
    """The events, each added by the transaction that it is about."""

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
        """Returns up to *limit* events, newest first, from *start* until before *end*.

        *before* is the id of the last event on the page before.
        """
        filters: tuple[tuple[Column[Any], Callable[[Any, Any], Any], object], ...] = (
            (events.c.workspace_id, eq, workspace_id),
            (events.c.person_id, eq, person_id),
            (events.c.action, eq, action),
            (events.c.time, ge, start),
            (events.c.time, lt, end),
            (events.c.id, lt, before),
        )
        where = [compare(column, value) for column, compare, value in filters if value is not None]
        query = select(events).where(*where).order_by(events.c.id.desc()).limit(limit)
        async with self._database.reading() as tx:
            return [Event(**row._asdict()) for row in await tx.all(query)]
