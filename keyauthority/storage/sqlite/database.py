"""One connection for everything: SQLite up to 3.51.2 may damage a WAL that several share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import NullPool, Select
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.shielding import to_the_end
from keyauthority.storage.errors import CLOSED, unavailable
from keyauthority.storage.gate import Gate
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.sqlite.connecting import connect
from keyauthority.storage.sqlite.direct import SqliteDirect
from keyauthority.storage.sqlite.faults import outages


class SqliteDatabase:
    """`Database` over one SQLite connection.

    Lone reads run beside each other, a transaction runs alone: on the one connection, a read would
    see what is not committed. SQLAlchemy runs the statements, but transactions are opened and ended
    on the driver, since SQLAlchemy doesn't roll back after a commit that failed.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._driver = aiosqlite.Connection(lambda: connect(path), iter_chunk_size=64)
        self._connection: AsyncConnection | None = None
        self._gate = Gate()
        self._direct: dict[Select[Any], SqliteDirect] = {}

    async def connect(self) -> None:
        """Opens the database, which must exist and be migrated."""
        _ = await self._driver
        engine = create_async_engine(
            "sqlite+aiosqlite://",
            async_creator=self._driver_at_hand,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        self._connection = await engine.connect()

    async def close(self) -> None:
        """Waits for who is at it, then closes; as the last connection it moves the WAL home."""
        async with self._gate.alone():
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()
            await self._driver.close()

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Sequence[Any]]:
        direct = self._compiled(query)
        statement, parameters = direct.bound(values)
        async with self._gate.together():
            self._check_usable()
            # A cancelled read does no harm: it is one job of the driver's thread, done before the
            # next one whether somebody waits for it or not.
            with outages():
                rows = await self._driver.execute_fetchall(statement, parameters)
        return direct.converted(rows)

    async def read_now(
        self, query: Select[Any], **values: Any
    ) -> tuple[Sequence[Sequence[Any]], datetime]:
        time = self._clock.now()
        return await self.read(query, **values), time

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Statements]:
        async with self._transaction("BEGIN IMMEDIATE", locking=True) as statements:
            yield statements
            statements.check()
            await self._run("COMMIT")
            if statements.destroyed:
                await self._empty_wal()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Statements]:
        async with self._transaction("BEGIN", locking=False) as statements:
            yield statements

    @asynccontextmanager
    async def _transaction(self, begin: str, *, locking: bool) -> AsyncIterator[Statements]:
        async with self._gate.alone():
            await self._undo()
            connection = self._open_connection()
            try:
                await self._run(begin)
                statements = Statements(connection, outages, self._clock.now(), locking=locking)
                try:
                    yield statements
                finally:
                    statements.end(RuntimeError("the transaction is over"))
            finally:
                # Should it fail, the next transaction tries again, and nothing is read before.
                with suppress(KeyAuthorityError):
                    await self._undo()

    async def _empty_wal(self) -> None:
        # Deleted rows are overwritten in the file, but earlier copies of their pages stay in the
        # WAL. The change is made: should this fail, the next checkpoint comes to the same.
        with suppress(KeyAuthorityError):
            await self._run("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _undo(self) -> None:
        if self._connection is not None and self._driver.in_transaction:
            await self._run("ROLLBACK")

    async def _run(self, command: str) -> None:
        with outages():
            await to_the_end(self._execute(command))

    async def _execute(self, command: str) -> None:
        await self._driver.execute_fetchall(command)

    async def _driver_at_hand(self, *_: object, **__: object) -> aiosqlite.Connection:
        return self._driver

    def _open_connection(self) -> AsyncConnection:
        if self._connection is None:
            raise unavailable(CLOSED)
        return self._connection

    def _check_usable(self) -> None:
        _ = self._open_connection()
        if self._driver.in_transaction:
            raise unavailable("a change could not be undone")

    def _compiled(self, query: Select[Any]) -> SqliteDirect:
        if query not in self._direct:
            self._direct[query] = SqliteDirect(query)
        return self._direct[query]
