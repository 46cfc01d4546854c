"""The statements of one transaction, each run at once on the connection that writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Executable,
    Table,
    UpdateBase,
    func,
)
from sqlalchemy.dialects import sqlite

from keyauthority.base.relational.columns import PlainText
from keyauthority.storage.errors import outages
from keyauthority.storage.sql.direct import Insertion, Query
from keyauthority.storage.sql.statements import Outcome, Statements
from keyauthority.storage.sqlite.direct import direct_of, insertions, write_of


class SqliteStatements(Statements):
    """`Statements` on the one connection: there is nobody to keep out or to wake."""

    def __init__(self, connection: sqlite3.Connection, sql: Connection, time: datetime) -> None:
        super().__init__(time, locking=False)
        self._connection = connection
        self._sql = sql

    @staticmethod
    def insert(table: Table) -> Any:
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

    async def _command(self, *texts: str) -> None:
        with outages():
            for text in texts:
                self._connection.execute(text)

    async def _execute(self, statement: Executable) -> Outcome:
        with outages():
            return Outcome.of(self._sql.execute(statement))

    async def _write(self, statement: UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
        write = write_of(statement, tuple(rows[0]))
        with outages():
            self._connection.executemany(write.text, map(write.bound, rows))

    async def _read(self, query: Query, values: Mapping[str, Any]) -> Sequence[Any]:
        direct = direct_of(query)
        with outages():
            return direct.converted(self._connection.execute(*direct.bound(values)))

    async def _add(self, insertion: Insertion, rows: Sequence[Sequence[Any]]) -> None:
        with outages():
            for text, parameters in insertions(insertion, rows):
                self._connection.execute(text, parameters)
