"""One transaction after another, over SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, CursorResult, Row, Table, event, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from console.people.errors import StoreUnavailable
from console.people.records import Origin
from console.people.tables import events
from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.outages import outages

Clock = Callable[[], datetime]
Found = Row[*tuple[Any, ...]]
T = TypeVar("T")

_BEGIN: Final = "people_begin"


class Transaction:
    """Statements that are done together or not at all, at one *now*."""

    def __init__(self, connection: AsyncConnection, now: datetime) -> None:
        self.now = now
        self._connection = connection

    async def one(self, statement: Executable) -> Found | None:
        """The first row of what *statement* gives."""
        return (await self._run(statement)).first()

    async def all(self, statement: Executable) -> Sequence[Found]:
        """All rows of what *statement* gives."""
        return (await self._run(statement)).all()

    async def count(self, statement: Executable) -> int:
        """How many rows *statement* changed."""
        return (await self._run(statement)).rowcount

    def insert(self, table: Table) -> postgresql.Insert | sqlite.Insert:
        """An INSERT that may say what to do about a conflict, in the database's own dialect."""
        if self._connection.dialect.name == "postgresql":
            return postgresql.insert(table)
        return sqlite.insert(table)

    async def record(
        self,
        by: Origin,
        action: str,
        subject: str = "",
        workspace_id: str = "",
        **details: str,
    ) -> None:
        """Writes to the history what this transaction does."""
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
        await self._run(insert(events).values(entry))

    async def _run(self, statement: Executable) -> CursorResult[*tuple[Any, ...]]:
        return await _done(self._connection.execute(statement))


class Database:
    """Gives transactions, and says `StoreUnavailable` where the database can't; mistakes of ours pass."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "begin", _begin)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Transaction]:
        """A transaction that is committed unless something is raised.

        In SQLite it is alone from its beginning; in PostgreSQL what it decides by must be locked.
        """
        engine = self._engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        async with self._connection(engine) as connection:
            yield Transaction(connection, self._clock())
            await _done(connection.commit())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """A transaction that changes nothing."""
        async with self._connection(self._engine) as connection:
            yield Transaction(connection, self._clock())

    async def close(self) -> None:
        """Closes all connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = engine.connect()
        try:
            await _done(_started(connection))
            yield connection
        finally:
            if connection.sync_connection is not None:
                await _done(_ended(connection))


async def _done(work: Coroutine[Any, Any, T]) -> T:
    """Does *work* to its end; an outage on the way is `StoreUnavailable`."""
    with outages(StoreUnavailable):
        return await to_the_end(work)


async def _started(connection: AsyncConnection) -> None:
    _ = await connection.start()


async def _ended(connection: AsyncConnection) -> None:
    try:
        # Closing alone would leave a transaction open whose commit failed.
        await connection.rollback()
    finally:
        await connection.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
