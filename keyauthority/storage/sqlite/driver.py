"""A connection to SQLite, in a thread of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import Connection, NullPool, create_engine

from keyauthority.base.relational.sqlite import connect

T = TypeVar("T")


class Driver(aiosqlite.Connection):
    """aiosqlite's connection, with SQLAlchemy's over it in the same thread.

    A whole transaction is one way to the thread and back. SQLAlchemy's own adapter to aiosqlite takes
    four for each statement: for the cursor, the statement, its rows, and the cursor's end.
    """

    def __init__(
        self, path: Path, pragmas: Mapping[str, str | int], *, to_read: bool = False
    ) -> None:
        super().__init__(lambda: connect(path, pragmas, to_read=to_read), iter_chunk_size=64)
        self._sql: Connection | None = None

    async def open(self) -> None:
        """Connects to the database."""
        _ = await self
        self._sql = await self._in_thread(self._open_sql)

    @property
    def sql(self) -> Connection:
        """SQLAlchemy's connection, for the thread alone."""
        assert self._sql is not None  # noqa: S101  # a mistake of ours
        return self._sql

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Returns what *work* does with the connection, in the thread."""
        return await self._in_thread(lambda: work(self._conn))

    async def close(self) -> None:
        """Closes the connection, after what the thread has still to do."""
        sql, self._sql = self._sql, None
        try:
            if sql is not None:
                await self._in_thread(sql.close)
        finally:
            # Its thread would keep the process alive.
            await super().close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        execute: Any = self._execute
        result: T = await execute(work)
        return result

    def _open_sql(self) -> Connection:
        engine = create_engine(
            "sqlite://",
            creator=self._raw,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        return engine.connect()

    def _raw(self) -> Any:
        return self._conn
