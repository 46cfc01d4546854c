"""Transactions on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, CursorResult, Row, Table, event, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from console.people.errors import StoreUnavailable
from console.people.records import Origin
from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.outages import outages

Clock = Callable[[], datetime]
AnyRow = Row[*tuple[Any, ...]]
T = TypeVar("T")

_BEGIN: Final = "people_begin"


class Transaction:
    """Statements that take effect together or not at all, at one *now*."""

    def __init__(self, connection: AsyncConnection, now: datetime, events: Table) -> None:
        self.now = now
        self._connection = connection
        self._events = events

    async def first(self, statement: Executable) -> AnyRow | None:
        """Returns the first row of the result."""
        return (await self._run(statement)).first()

    async def all(self, statement: Executable) -> Sequence[AnyRow]:
        """Returns all rows of the result."""
        return (await self._run(statement)).all()

    async def execute(self, statement: Executable) -> int:
        """Returns how many rows *statement* changed."""
        return (await self._run(statement)).rowcount

    async def add(self, table: Table, **row: Any) -> bool:
        """Inserts *row*. Returns False, and changes nothing, if it conflicts with an existing row."""
        statement = self._insert(table).values(row).on_conflict_do_nothing()
        return await self.first(statement.returning(*table.primary_key)) is not None

    async def put(
        self, table: Table, row: Mapping[str, Any], unique: str, changes: Mapping[str, Any]
    ) -> AnyRow:
        """Inserts *row*, or makes *changes* to the row with the same *unique* column; returns it."""
        statement = self._insert(table).values(row)
        upsert = statement.on_conflict_do_update(index_elements=[unique], set_=changes)
        stored = await self.first(upsert.returning(*table.c))
        assert stored is not None  # noqa: S101  # inserted or updated
        return stored

    async def record(
        self, by: Origin, action: str, subject: str = "", workspace_id: str = "", **details: str
    ) -> None:
        """Adds an event to the table *events*."""
        entry = {
            "time": self.now,
            "person_id": by.person_id,
            "person_email": by.email,
            "workspace_id": workspace_id,
            "action": action,
            "subject": subject,
            "details": details,
            "source": by.source,
        }
        await self._run(insert(self._events).values(entry))

    def _insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        if self._connection.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)

    async def _run(self, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
        return await _finished(self._connection.execute(statement))


class Database:
    """The source of transactions, which record what they do in the table *events*.

    Outages are raised as `StoreUnavailable`, our own mistakes as they are.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock, events: Table) -> None:
        self._engine = engine
        self._clock = clock
        self._events = events
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "begin", _begin)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Transaction]:
        """Opens a transaction, which is committed unless the block raises.

        SQLite runs one such transaction at a time; on PostgreSQL the block locks what it decides by.
        """
        engine = self._engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        async with self._connection(engine) as connection:
            yield Transaction(connection, self._clock(), self._events)
            await _finished(connection.commit())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Opens a transaction that changes nothing."""
        async with self._connection(self._engine) as connection:
            yield Transaction(connection, self._clock(), self._events)

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = engine.connect()
        try:
            _ = await _finished(connection.start())
            yield connection
        finally:
            if connection.sync_connection is not None:
                await _finished(_end(connection))


async def _finished(work: Coroutine[Any, Any, T]) -> T:
    # Runs to its end even if the caller is cancelled.
    with outages(StoreUnavailable):
        return await to_the_end(work)


async def _end(connection: AsyncConnection) -> None:
    try:
        # After a failed commit, closing alone would leave the transaction open.
        await connection.rollback()
    finally:
        await connection.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
