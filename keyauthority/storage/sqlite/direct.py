"""Reading past SQLAlchemy: one hop to the driver's thread instead of four, and no greenlet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from keyauthority.storage.sql.direct import Direct

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")


class SqliteDirect(Direct):
    """`Direct` in the words of SQLite, which knows no lists: each value has its own mark."""

    def __init__(self, query: Select[Any]) -> None:
        super().__init__(query, _DIALECT)

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters, in their order, for *values* by name."""
        text, bound = self.text, []
        for name in self.names:
            if name in self.lists:
                marks = ", ".join("?" * len(values[name])) or "NULL"
                text = text.replace(self.lists[name], marks, 1)
                bound += values[name]
            else:
                bound.append(values.get(name, self.fixed[name]))
        return text, bound
