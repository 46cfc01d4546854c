"""Statements for SQLite that bypass SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from keyauthority.storage.sql.direct import Direct, Insertion

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")


class SqliteDirect(Direct):
    """`Direct` for SQLite, which knows no lists: each value of a list has its own mark."""

    def __init__(self, query: Select[Any]) -> None:
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
def direct_of(query: Select[Any]) -> SqliteDirect:
    """Returns *query*, one of the constants of these rooms, compiled."""
    return SqliteDirect(query)


@cache
def insertion_of(insertion: Insertion) -> str:
    """Returns the statement that inserts the rows of one parameter: an array of arrays, as JSON."""
    values = ", ".join(f"value ->> {place}" for place in range(len(insertion.table.columns)))
    # SQLite would take the ON of a conflict for that of a join.
    return insertion.text(f"SELECT {values} FROM json_each(?) WHERE true")  # noqa: S608
