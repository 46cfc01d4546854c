"""One connection for everything: SQLite up to 3.51.2 may damage a WAL that several share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Select,
    Table,
    func,
)
from sqlalchemy.dialects import sqlite

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.columns import PlainText
from keyauthority.base.relational.outages import is_busy
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.storage.errors import CLOSED, outages, unavailable
from keyauthority.storage.sql.direct import Insertion
from keyauthority.storage.sql.statements import Outcome, Statements
from keyauthority.storage.sqlite.direct import direct_of, insertions
from keyauthority.storage.sqlite.driver import Driver
from keyauthority.storage.sqlite.examining import IN_USE, KIND
from keyauthority.storage.sqlite.gate import Gate
from keyauthority.storage.sqlite.journal import Journal

T = TypeVar("T")

PATIENCE: Final = 5.0
"""Seconds that a transaction, or a read, waits for another program."""

PAUSE: Final = 0.01
"""Seconds between two attempts, in which other tasks are admitted."""

# The connection never waits inside SQLite: see `until_free`.
_PRAGMAS: Final = {**KIND.pragmas, "busy_timeout": 0}


class SqliteStatements(Statements):
    """`Statements` on the one connection: there is nobody to keep out or to wake."""

    def __init__(self, driver: Driver, time: datetime, *, locking: bool) -> None:
        super().__init__(time, locking=locking)
        self._driver = driver

    def insert(self, table: Table) -> Any:
        return sqlite.insert(table)

    def numbers(
        self, column: Column[Mapping[str, int]], names: Sequence[str]
    ) -> Sequence[ColumnElement[int]]:
        return [func.json_extract(column, f"$.{name}", type_=BigInteger) for name in names]

    def pairs(
        self, pairs: Sequence[tuple[str, str]]
    ) -> tuple[ColumnElement[str], ColumnElement[str]]:
        pair = (
            func.json_each(json.dumps(pairs)).table_valued("value", joins_implicitly=True).c.value
        )
        first, second = (func.json_extract(pair, f"$[{n}]", type_=PlainText) for n in (0, 1))
        return first, second

    async def alone(self, subject: str) -> None:
        pass

    async def together(self, subject: str) -> None:
        pass

    async def notify(self) -> None:
        pass

    async def _execute(self, statement: Executable, values: Any) -> Outcome:
        def work(connection: Connection) -> Outcome:
            return Outcome.of(connection.execute(statement, values))

        with outages():
            return await to_the_end(self._driver.run_sync(work))

    async def _read(self, query: Select[Any], values: Mapping[str, Any]) -> Sequence[Any]:
        direct = direct_of(query)
        return direct.converted(await self._directly(*direct.bound(values)))

    async def _add(self, insertion: Insertion, rows: Sequence[Sequence[Any]]) -> None:
        with outages():
            await to_the_end(self._driver.execute_all(insertions(insertion, rows)))

    async def _directly(self, text: str, parameters: Sequence[Any]) -> Iterable[Sequence[Any]]:
        with outages():
            return await to_the_end(self._driver.execute_fetchall(text, parameters))


class SqliteDatabase:
    """`Database` over one SQLite connection.

    Single reads run beside each other, a transaction runs alone: on the one connection, a read
    would see what is not committed. SQLAlchemy runs the statements, but the driver begins and ends
    transactions, since SQLAlchemy does not roll back after a failed commit.

    SQLite itself never waits here for another program that has the file locked: whoever waits
    behind the gate keeps everybody out. The task tries again instead, for *patience* seconds.
    """

    def __init__(self, path: Path, clock: Clock, patience: float = PATIENCE) -> None:
        self.changes = 0
        """How many transactions to change have begun; what is read until the next is of one state."""
        self._clock = clock
        self._patience = patience
        self._driver = Driver(path, _PRAGMAS)
        self._open = False
        self._gate = Gate()
        self._journal = Journal(self._empty_journal, self._empty_journal_alone)

    async def connect(self) -> None:
        """Opens the database, which must exist and be migrated, and marks it as in use.

        Raises `STORE_UNAVAILABLE`.
        """
        await self._driver.open()
        self._open = True
        await until_free(lambda: self._run(f"PRAGMA user_version = {IN_USE}"), self._patience)
        # Into the file itself: a copy of the file alone shows that it is not whole.
        await self._run("PRAGMA wal_checkpoint(PASSIVE)")

    async def close(self) -> None:
        """Waits for the work under way, then closes; as the last connection it empties the WAL."""
        await self._journal.close()
        async with self._gate.alone():
            if self._open:
                # A transaction that could not be undone is still open: inside it the mark would be
                # lost. If this fails, the log most likely can't be moved into the file, and stays
                # beside it.
                with suppress(KeyAuthorityError):
                    await self._roll_back()
                    await self._run("PRAGMA user_version = 0")
                self._open = False
                self.changes += 1
            await self._driver.close()

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        direct = direct_of(query)
        bound = direct.bound(values)
        return direct.converted(await until_free(lambda: self._rows(*bound), self._patience))

    async def read_now(self, query: Select[Any], **values: Any) -> tuple[Sequence[Any], datetime]:
        time = self._clock.now()
        return await self.read(query, **values), time

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Statements]:
        async with self._transaction("BEGIN IMMEDIATE", changing=True) as statements:
            yield statements
            statements.check()
            await self._run("COMMIT")
            if statements.destroyed:
                await self._journal.empty()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Statements]:
        async with self._transaction("BEGIN", changing=False) as statements:
            yield statements

    @asynccontextmanager
    async def _transaction(self, begin: str, *, changing: bool) -> AsyncIterator[Statements]:
        async with AsyncExitStack() as inside:
            await until_free(lambda: self._begin(begin, inside, changing=changing), self._patience)
            # Nobody else can change anything meanwhile.
            statements = SqliteStatements(self._driver, self._clock.now(), locking=False)
            with closing(statements):
                yield statements

    async def _begin(self, begin: str, inside: AsyncExitStack, *, changing: bool) -> None:
        """Begins a transaction that lasts as long as *inside*."""
        async with AsyncExitStack() as entered:
            await entered.enter_async_context(self._gate.alone())
            # No read is under way, and the next one waits for the end.
            self.changes += changing
            await self._roll_back()
            self._check_open()
            entered.push_async_callback(self._try_to_roll_back)
            await self._run(begin)
            inside.push_async_exit(entered.pop_all())

    async def _rows(self, statement: str, parameters: Sequence[Any]) -> Iterable[Sequence[Any]]:
        async with self._gate.together():
            self._check_usable()
            # A cancelled read does no harm: it is one job of the driver's thread, done before the
            # next one whether somebody waits for it or not.
            with outages():
                return await self._driver.execute_fetchall(statement, parameters)

    async def _empty_journal(self) -> bool:
        with outages():
            ((busy, *_),) = await to_the_end(self._execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        return not busy

    async def _empty_journal_alone(self) -> bool:
        async with self._gate.alone():
            await self._roll_back()
            self._check_open()
            return await self._empty_journal()

    async def _try_to_roll_back(self) -> None:
        # If it fails, the next transaction tries again, and no read is answered before.
        with suppress(KeyAuthorityError):
            await self._roll_back()

    async def _roll_back(self) -> None:
        if self._open and self._driver.in_transaction:
            await self._run("ROLLBACK")

    async def _run(self, command: str) -> None:
        with outages():
            await to_the_end(self._execute(command))

    async def _execute(self, command: str) -> Iterable[Sequence[Any]]:
        return await self._driver.execute_fetchall(command)

    def _check_open(self) -> None:
        if not self._open:
            raise unavailable(CLOSED)

    def _check_usable(self) -> None:
        self._check_open()
        if self._driver.in_transaction:
            raise unavailable("a change could not be undone")


async def until_free(attempt: Callable[[], Awaitable[T]], patience: float) -> T:
    """Returns what *attempt* does, tried again for *patience* seconds while the file is locked.

    Nobody waits for another program inside SQLite or behind the gate, which would keep everybody
    out.
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
