"""One connection that writes, and one that only reads.

SQLite up to 3.51.2 may damage a write-ahead log that two connections write, or move into the file, at
the same time. The second connection can do neither.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, Final, TypeVar

from sqlalchemy import Select

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.outages import is_busy
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.storage.errors import CLOSED, outages, unavailable
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.sqlite.direct import direct_of
from keyauthority.storage.sqlite.driver import Driver
from keyauthority.storage.sqlite.examining import IN_USE, KIND
from keyauthority.storage.sqlite.journal import Journal
from keyauthority.storage.sqlite.statements import SqliteStatements

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a transaction, or a read, waits for another program."""

HELD: Final = 1.0
"""Seconds that the two threads wait for one another at most."""

PAUSE: Final = 0.01
"""Seconds between two attempts, in which other tasks are admitted."""

# The connection never waits inside SQLite: see `until_free`.
_PRAGMAS: Final = {**KIND.pragmas, "busy_timeout": 0}
_READING: Final = {"trusted_schema": 0, "query_only": 1, "busy_timeout": 0}


class SqliteDatabase:
    """`Database` over two SQLite connections, each in a thread of its own.

    A transaction is one way to the first: its work runs there to the end, without an event loop. So
    nothing ever comes between a transaction's statements. SQLAlchemy runs them, but the driver begins
    and ends transactions, since SQLAlchemy does not roll back after a failed commit. Single reads go
    to the second, where they see what is committed and wait for no change.

    SQLite itself never waits here for another program that has the file locked: whoever waits in the
    thread keeps everybody out. The task tries again instead, for *patience* seconds.
    """

    def __init__(self, path: Path, clock: Clock, patience: float = PATIENCE) -> None:
        self.changes = 0
        """How many transactions to change have begun; what is read until the next is of one state."""
        self._clock = clock
        self._patience = patience
        self._driver = Driver(path, _PRAGMAS)
        self._reader = Driver(path, _READING, to_read=True)
        self._open = False
        self._journal = Journal(self._empty_journal)

    async def connect(self) -> None:
        """Opens the database, which must exist and be migrated, and marks it as in use.

        Raises `STORE_UNAVAILABLE`.
        """
        await self._driver.open()
        self._open = True
        await until_free(lambda: self._execute(f"PRAGMA user_version = {IN_USE}"), self._patience)
        # Into the file itself: a copy of the file alone shows that it is not whole.
        await self._execute("PRAGMA wal_checkpoint(PASSIVE)")
        with outages():
            await self._reader.open()

    async def close(self) -> None:
        """Waits for the work under way, then closes; as the last connection it empties the WAL."""
        await self._journal.close()
        if self._open:
            # What the thread has still to do comes before.
            self._open = False
            self.changes += 1
            # If this fails, the log most likely can't be moved into the file, and stays beside it.
            with suppress(KeyAuthorityError):
                await self._driver.run(_unmark)
        try:
            await self._reader.close()
        finally:
            await self._driver.close()

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        return await self._read(self._reader, query, values)

    async def read_in_turn(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        """Returns the rows in the state after every change that began before this call."""
        return await self._read(self._driver, query, values)

    async def read_now(self, query: Select[Any], **values: Any) -> tuple[Sequence[Any], datetime]:
        time = self._clock.now()
        return await self.read(query, **values), time

    async def change(self, work: Callable[[Statements], Awaitable[T]]) -> T:
        result, destroyed = await until_free(lambda: self._change(work), self._patience)
        if destroyed:
            await self._journal.empty()
        return result

    async def view(self, work: Callable[[Statements], Awaitable[T]]) -> T:
        def transaction(connection: sqlite3.Connection) -> T:
            with _begun(connection, "BEGIN"):
                return self._run(connection, work)[0]

        return await until_free(lambda: self._in_thread(transaction), self._patience)

    async def _change(self, work: Callable[[Statements], Awaitable[T]]) -> tuple[T, int]:
        def transaction(connection: sqlite3.Connection) -> tuple[T, int]:
            with _begun(connection, "BEGIN IMMEDIATE"):
                done = self._run(connection, work)
                with outages():
                    connection.execute("COMMIT")
                return done

        # What is read from now on is read after it.
        self.changes += 1
        return await to_the_end(self._in_thread(transaction))

    def _run(
        self,
        connection: sqlite3.Connection,
        work: Callable[[Statements], Awaitable[T]],
    ) -> tuple[T, int]:
        # Nobody else can change anything meanwhile.
        statements = SqliteStatements(connection, self._driver.sql, self._clock.now())
        with closing(statements):
            result = driven(work(statements))
            statements.check()
        return result, statements.destroyed

    async def _read(
        self, driver: Driver, query: Select[Any], values: Mapping[str, Any]
    ) -> Sequence[Any]:
        direct = direct_of(query)
        statement, parameters = direct.bound(values)

        def read(connection: sqlite3.Connection) -> Sequence[Sequence[Any]]:
            if connection.in_transaction:
                raise unavailable("a change could not be undone")
            with outages():
                return connection.execute(statement, parameters).fetchall()

        rows = await until_free(lambda: self._in_thread(read, driver), self._patience)
        return direct.converted(rows)

    async def _empty_journal(self) -> bool:
        # Whoever reads keeps it from being emptied: so our own reads wait.
        reading_waits, emptied = Event(), Event()

        def wait(_: sqlite3.Connection) -> None:
            reading_waits.set()
            emptied.wait(HELD)

        def empty(connection: sqlite3.Connection) -> bool:
            try:
                reading_waits.wait(HELD)
                with outages():
                    _roll_back(connection)
                    ((busy, *_),) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return not busy
            finally:
                emptied.set()

        waiting = self._in_thread(wait, self._reader)
        done, _ = await to_the_end(_gathered(self._in_thread(empty), waiting))
        return done

    async def _execute(self, command: str) -> None:
        with outages():
            await to_the_end(self._driver.execute_fetchall(command))

    async def _in_thread(
        self, work: Callable[[sqlite3.Connection], T], driver: Driver | None = None
    ) -> T:
        # If the task is cancelled, the thread does it all the same.
        if not self._open:
            raise unavailable(CLOSED)
        return await (driver or self._driver).run(work)


@contextmanager
def _begun(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Begins a transaction, and rolls back what the block leaves uncommitted."""
    with outages():
        # If the last one could not be undone.
        _roll_back(connection)
        connection.execute(begin)
    try:
        yield
    finally:
        # If this fails, the next transaction tries again, and nothing is read before.
        with suppress(sqlite3.Error):
            _roll_back(connection)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _unmark(connection: sqlite3.Connection) -> None:
    with outages():
        # Within a transaction that is still open, the mark would be lost.
        _roll_back(connection)
        connection.execute("PRAGMA user_version = 0")


def driven(work: Awaitable[T]) -> T:
    """Returns what *work* does, without an event loop: it awaits nothing but statements."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    raise RuntimeError("a work in a transaction awaits something else")


async def _gathered(first: Awaitable[T], second: Awaitable[None]) -> tuple[T, None]:
    return await asyncio.gather(first, second)


async def until_free(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """Returns what *attempt* does, tried again for *patience* seconds while the file is locked.

    Nobody waits for another program inside SQLite: that would keep everybody out.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        try:
            return await attempt()
        except KeyAuthorityError as error:
            if not is_busy(error) or loop.time() >= end:
                raise
        await asyncio.sleep(PAUSE)
