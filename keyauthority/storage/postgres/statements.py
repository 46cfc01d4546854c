"""The statements of one transaction on PostgreSQL, where others change at the same time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Executable,
    Table,
    Text,
    UpdateBase,
    cast,
    func,
    select,
)
from sqlalchemy import column as column_named
from sqlalchemy.dialects import postgresql

from keyauthority.base.relational.postgres import SETTINGS
from keyauthority.storage.postgres.direct import direct_of, insertion_of, storable, write_of
from keyauthority.storage.postgres.link import Link
from keyauthority.storage.sql.direct import Insertion, Query
from keyauthority.storage.sql.statements import Outcome, Statements
from keyauthority.storage.tables import head

CHANNEL: Final = "keyauthority"
"""The channel on which changes that alter verdicts are announced: `EPOCH:REVISION`, the new head."""


_ANNOUNCED: Final = select(func.pg_notify(CHANNEL, func.concat(head.c.epoch, ":", head.c.revision)))


class PostgresStatements(Statements):
    """`Statements` on one connection. A subject is locked by a number derived from its name.

    A change beside others waits for locks only for as long as that can't be a deadlock with those of
    another process: together they lock more than one does, in any order.
    """

    # Undone by a rollback to the savepoint. Nothing is a deadlock any more behind the counter's row.
    SAVEPOINT = (*Statements.SAVEPOINT, "SET LOCAL lock_timeout = '100ms'")
    RELEASE = (*Statements.RELEASE, f"SET LOCAL lock_timeout = '{SETTINGS['lock_timeout']}'")

    def __init__(self, link: Link, time: datetime, *, locking: bool) -> None:
        assert link.sql is not None  # noqa: S101  # a mistake of ours
        super().__init__(time, locking=locking)
        self._link = link
        self._connection = link.sql
        self._locks: set[tuple[bool, str]] = set()

    @staticmethod
    def insert(table: Table) -> Any:
        return postgresql.insert(table)

    def numbers(
        self, column: Column[Mapping[str, int]], names: Sequence[str]
    ) -> Sequence[ColumnElement[int]]:
        # One reading of each map, whatever the number of names.
        columns = [column_named(name, BigInteger) for name in names]
        record = func.json_to_record(cast(column, JSON))
        table = record.table_valued(*columns, joins_implicitly=True)
        return list(table.render_derived(with_types=True).c)

    def pairs(
        self, pairs: Sequence[tuple[str, str]]
    ) -> tuple[ColumnElement[str], ColumnElement[str]]:
        lists = [cast([pair[n] for pair in pairs], ARRAY(Text)) for n in (0, 1)]
        table = func.unnest(*lists).table_valued(
            column_named("first", Text),
            column_named("second", Text),
            joins_implicitly=True,
        )
        table = table.render_derived()
        return table.c.first, table.c.second

    async def alone(self, subject: str) -> None:
        await self._lock(subject, shared=False)

    async def together(self, subject: str) -> None:
        await self._lock(subject, shared=True)

    async def notify(self) -> None:
        await self.row(_ANNOUNCED)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        locks = set(self._locks)
        try:
            async with super().savepoint():
                yield
        except BaseException:
            # What was locked since is free again.
            self._locks = locks
            raise

    async def _lock(self, subject: str, *, shared: bool) -> None:
        if self.locking and not {(shared, subject), (False, subject)} & self._locks:
            lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
            await self.row(select(lock(number_of(subject))))
            self._locks.add((shared, subject))

    async def _command(self, *texts: str) -> None:
        await self._link.run("; ".join(texts))

    async def _write(self, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
        write = write_of(statement, tuple(rows[0]))
        parameters = [list(map(storable, write.bound(row))) for row in rows]
        if len(parameters) == 1:
            await self._link.rows(write.text, *parameters[0])
        else:
            await self._link.run_each(write.text, parameters)

    async def _read(self, query: Query, values: Mapping[str, Any]) -> Sequence[Any]:
        direct = direct_of(query)
        text, parameters = direct.bound(values)
        return direct.converted(await self._link.rows(text, *parameters))

    async def _add(self, insertion: Insertion, rows: Sequence[Sequence[Any]]) -> None:
        columns = [list(map(storable, column)) for column in zip(*rows, strict=True)]
        await self._link.rows(insertion_of(insertion), *columns)

    async def _execute(self, statement: Executable) -> Outcome:
        return Outcome.of(await self._link.within(self._connection.execute(statement)))


def number_of(subject: str) -> int:
    """Returns the 64-bit number that *subject* is locked by."""
    return int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), "big", signed=True)
