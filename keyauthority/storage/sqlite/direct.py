"""Statements for SQLite that bypass SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import UpdateBase
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from keyauthority.storage.sql.direct import Direct, Insertion, Query, Write

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")

_LENGTHS: Final = (100, 10, 1)
"""How many rows one statement inserts."""


class SqliteDirect(Direct):
    """`Direct` for SQLite, which knows no lists: each value of a list has its own mark."""

    def __init__(self, query: Query) -> None:
        super().__init__(query, _DIALECT)

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """Returns the statement and its parameters, in their order, for *values* by name."""
        text, bound = self.text, []
        for name in self.names:
            if name in self.lists:
                marks = ", ".join("?" * len(values[name])) or "NULL"
                text = text.replace(self.lists[name], marks, 1)
                bound += values[name]
            else:
                bound.append(values.get(name, self.fixed[name]))
        return text, bound


@cache
def direct_of(query: Query) -> SqliteDirect:
    """Returns *query*, one of the constants of these rooms, compiled."""
    return SqliteDirect(query)


@cache
def write_of(statement: UpdateBase, names: tuple[str, ...]) -> Write:
    """Returns *statement*, one of the constants of these rooms, compiled."""
    return Write(statement, names, _DIALECT)


def insertions(
    insertion: Insertion, rows: Sequence[Sequence[Any]]
) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yields the statements that insert *rows*, each with its parameters: few, of a few lengths.

    SQLite keeps them prepared. After each, its thread has to wait for that of the event loop.
    """
    start = 0
    for length in _LENGTHS:
        while len(rows) - start >= length:
            some = rows[start : start + length]
            start += length
            yield _insertion_of(insertion, length), [value for row in some for value in row]


@cache
def _insertion_of(insertion: Insertion, length: int) -> str:
    row = f"({', '.join('?' * len(insertion.table.columns))})"
    return insertion.text(f"VALUES {', '.join([row] * length)}")
