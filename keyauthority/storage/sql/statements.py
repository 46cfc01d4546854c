"""Running the statements of one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, Delete, Executable, Row, Select, Table, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.columns import Moment
from keyauthority.domain.repositories import Cursor

AnyRow = Row[*tuple[Any, ...]]

Guard = Callable[[], AbstractContextManager[None]]
"""Turns what a driver raises in an outage into `STORE_UNAVAILABLE`."""


class Statements:
    """Runs the statements of one transaction, each to its end.

    A statement that fails spoils the transaction, since a database may have rolled back by then:
    whatever follows, the commit included, fails alike.
    """

    def __init__(
        self, connection: AsyncConnection, guard: Guard, time: datetime, *, locking: bool
    ) -> None:
        self.time = time
        """When the transaction began."""
        self._connection = connection
        self._guard = guard
        self._locking = locking
        self._failure: BaseException | None = None
        self.destroyed = 0
        """How many rows were deleted that must leave no copy behind in any file."""

    @property
    def dialect(self) -> str:
        """The name of the SQL that the database speaks: `sqlite` or `postgresql`."""
        return self._connection.dialect.name

    async def rows(self, statement: Executable) -> Sequence[AnyRow]:
        """All rows that *statement* gives."""
        return (await self._run(statement)).all()

    async def row(self, statement: Executable) -> AnyRow | None:
        """The first row that *statement* gives."""
        return (await self._run(statement)).first()

    async def count(
        self, statement: Executable, values: Sequence[Mapping[str, Any]] | None = None
    ) -> int:
        """Runs *statement*, once for each of *values*; how many rows it touched."""
        return (await self._run(statement, values)).rowcount

    async def destroy(self, statement: Delete) -> int:
        """Deletes what must leave no copy behind; how many rows that were."""
        count = await self.count(statement)
        self.destroyed += count
        return count

    def locked(self, query: Select[Any]) -> Select[Any]:
        """The same query; in a changing transaction its rows stay locked until the end."""
        return query.with_for_update(key_share=True) if self._locking else query

    async def alone(self, subject: str) -> None:
        """Lets no other changing transaction in that names *subject*, until the end of this one.

        Locks of rows don't do where there is no row yet. Where only one transaction changes at a
        time, there is nothing to do.
        """

    async def together(self, subject: str) -> None:
        """Lets others in that name *subject* likewise, but none that wants to be alone with it."""

    async def tell(self) -> None:
        """Wakes up who waits for changes, once this one is made. A hint: it may get lost."""

    def end(self, failure: BaseException) -> None:
        """Refuses what comes after the transaction's end with *failure*."""
        self._failure = failure

    def check(self) -> None:
        """Raises what spoilt the transaction, if anything did."""
        if self._failure is not None:
            raise self._failure

    async def _run(
        self, statement: Executable, values: Any = None
    ) -> CursorResult[*tuple[Any, ...]]:
        self.check()
        try:
            with self._guard():
                return await self._execute(statement, values)
        except Exception as failure:
            self._failure = failure
            raise

    async def _execute(self, statement: Executable, values: Any) -> CursorResult[*tuple[Any, ...]]:
        return await to_the_end(self._connection.execute(statement, values))


def page(query: Select[Any], table: Table, limit: int, after: Cursor | None) -> Select[Any]:
    """Newest first: up to *limit* rows of *query*, by create time and id downwards, after *after*."""
    if after is not None:
        time, record_id = after
        end = tuple_(literal(time, Moment), literal(record_id))
        query = query.where(tuple_(table.c.create_time, table.c.id) < end)
    return query.order_by(table.c.create_time.desc(), table.c.id.desc()).limit(limit)
