"""Running the statements of one transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    CursorResult,
    Delete,
    Executable,
    Row,
    Select,
    Table,
    UpdateBase,
    literal,
    tuple_,
)

from keyauthority.base.relational.columns import Moment
from keyauthority.domain.repositories import Cursor
from keyauthority.storage.sql.direct import Insertion, Query

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a statement did: all its rows, and how many rows it touched."""

    rows: Sequence[AnyRow]
    count: int

    @classmethod
    def of(cls, result: CursorResult[*tuple[Any, ...]]) -> Self:
        """Returns the outcome of the statement with *result*."""
        return cls(result.all() if result.returns_rows else (), result.rowcount)


class Statements(ABC):
    """Runs the statements of one transaction, each to its end.

    A failed statement spoils the transaction, since a database may have rolled it back: whatever
    follows, the commit included, fails with the same error. `time` is when the transaction began;
    `locking` says whether it changes something and others may at the same time;
    `destroyed` counts the deleted rows of which no copy may stay in any file.
    """

    SAVEPOINT: ClassVar[Sequence[str]] = ("SAVEPOINT beside_others",)
    RELEASE: ClassVar[Sequence[str]] = ("RELEASE beside_others",)

    def __init__(self, time: datetime, *, locking: bool) -> None:
        self.time = time
        self.destroyed = 0
        self.locking = locking
        self._failure: BaseException | None = None

    async def rows(self, statement: Executable) -> Sequence[AnyRow]:
        """Returns all rows of *statement*."""
        return (await self._run(statement)).rows

    async def row(self, statement: Executable) -> AnyRow | None:
        """Returns the first row of *statement*."""
        rows = await self.rows(statement)
        return rows[0] if rows else None

    async def count(self, statement: Executable) -> int:
        """Runs *statement* and returns how many rows it touched."""
        return (await self._run(statement)).count

    async def write(self, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs *statement*, which is compiled once, for each of *rows*, all with the same names."""
        if rows:
            await self._noted(lambda: self._write(statement, rows))

    async def read(self, query: Query, **values: Any) -> Sequence[Any]:
        """Returns all rows of *query*, which is compiled once, for the *values* of its parameters.

        Parameters are not converted: they are numbers, texts without NUL, or bytes.
        """
        return await self._noted(lambda: self._read(query, values))

    async def add(self, insertion: Insertion, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts *rows*, all by one statement."""
        if rows:
            await self._noted(lambda: self._add(insertion, rows))

    async def destroy(self, statement: Delete) -> int:
        """Deletes rows of which no copy may stay; returns how many."""
        count = await self.count(statement)
        self.destroyed += count
        return count

    def locked(self, query: Select[Any]) -> Select[Any]:
        """Returns *query*, which in a changing transaction locks its rows until the end."""
        return query.with_for_update(key_share=True) if self.locking else query

    @staticmethod
    @abstractmethod
    def insert(table: Table) -> Any:
        """Returns the database's own insert into *table*, which knows `on_conflict_do_update`."""

    @abstractmethod
    def numbers(
        self, column: Column[Mapping[str, int]], names: Sequence[str]
    ) -> Sequence[ColumnElement[int]]:
        """Returns the numbers under *names* in a `NumberMap`; NULL where there is none."""

    @abstractmethod
    def pairs(
        self, pairs: Sequence[tuple[str, str]]
    ) -> tuple[ColumnElement[str], ColumnElement[str]]:
        """Returns the two columns of a table of *pairs*, to be joined: one parameter, however many."""

    @abstractmethod
    async def alone(self, subject: str) -> None:
        """Keeps other changing transactions that name *subject* out until the end of this one.

        Row locks do not help where there is no row yet.
        """

    @abstractmethod
    async def together(self, subject: str) -> None:
        """Admits others that share *subject*, but none that wants to be alone with it."""

    @abstractmethod
    async def notify(self) -> None:
        """Wakes whoever waits for changes, once this one is committed. The hint may get lost."""

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undoes what the block did, a failed statement included, if it raises."""
        destroyed = self.destroyed
        await self.command(*self.SAVEPOINT)
        try:
            yield
            self.check()
        except Exception as error:
            self.destroyed, self._failure = destroyed, None
            try:
                await self.command("ROLLBACK TO beside_others", "RELEASE beside_others")
            except Exception:  # noqa: BLE001  # the cause is what the block failed with
                # The transaction is over: it ended with the block's failure, or its connection did.
                self._failure = error
            raise
        await self.command(*self.RELEASE)

    def close(self) -> None:
        """Refuses every later statement: the transaction is over."""
        self._failure = RuntimeError("the transaction is over")

    def check(self) -> None:
        """Raises the failure that spoilt the transaction, if there was one."""
        if self._failure is not None:
            raise self._failure

    async def _run(self, statement: Executable) -> Outcome:
        return await self._noted(lambda: self._execute(statement))

    async def _noted(self, work: Callable[[], Awaitable[T]]) -> T:
        self.check()
        try:
            return await work()
        except Exception as failure:
            self._failure = failure
            raise

    async def command(self, *texts: str) -> None:
        """Runs commands without parameters and rows, in one round trip."""
        await self._noted(lambda: self._command(*texts))

    @abstractmethod
    async def _command(self, *texts: str) -> None:
        """Does what `command` says; raises `STORE_UNAVAILABLE` for outages."""

    @abstractmethod
    async def _write(self, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
        """Does what `write` says; raises `STORE_UNAVAILABLE` for outages."""

    @abstractmethod
    async def _read(self, query: Query, values: Mapping[str, Any]) -> Sequence[Any]:
        """Does what `read` says; raises `STORE_UNAVAILABLE` for outages."""

    @abstractmethod
    async def _add(self, insertion: Insertion, rows: Sequence[Sequence[Any]]) -> None:
        """Does what `add` says; raises `STORE_UNAVAILABLE` for outages."""

    @abstractmethod
    async def _execute(self, statement: Executable) -> Outcome:
        """Executes *statement* to its end; raises `STORE_UNAVAILABLE` for outages."""


class Repository:
    """A part of the books, within the transaction of *statements*."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements


def page(query: Select[Any], table: Table, limit: int, after: Cursor | None) -> Select[Any]:
    """Returns the part of *query* with up to *limit* rows after *after*, newest first."""
    if after is not None:
        time, record_id = after
        end = tuple_(literal(time, Moment), literal(record_id))
        query = query.where(tuple_(table.c.create_time, table.c.id) < end)
    return query.order_by(table.c.create_time.desc(), table.c.id.desc()).limit(limit)
