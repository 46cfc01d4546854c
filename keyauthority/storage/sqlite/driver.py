"""The one connection to SQLite, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import Connection, NullPool, create_engine

from keyauthority.base.relational.sqlite import connect

T = TypeVar("T")


class Driver(aiosqlite.Connection):
    """aiosqlite's connection, with SQLAlchemy's over it in the same thread.

    A statement is one way to the thread and back. SQLAlchemy's own adapter to aiosqlite takes four:
    for the cursor, the statement, its rows, and the cursor's end.
    """

    def __init__(self, path: Path, pragmas: Mapping[str, str | int]) -> None:
        super().__init__(lambda: connect(path, pragmas), iter_chunk_size=64)
        self._sql: Connection | None = None

    async def open(self) -> None:
        """Connects to the database."""
        _ = await self
        self._sql = await self._in_thread(self._open_sql)

    async def run_sync(self, work: Callable[[Connection], T]) -> T:
        """Returns what *work* does with SQLAlchemy's connection, in the thread."""
        sql = self._sql
        assert sql is not None  # noqa: S101  # a mistake of ours
        return await self._in_thread(lambda: work(sql))

    async def execute_all(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Executes *statements*, each with its parameters, in one way to the thread."""

        def work() -> None:
            for text, parameters in statements:
                self._conn.execute(text, parameters)

        await self._in_thread(work)

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
