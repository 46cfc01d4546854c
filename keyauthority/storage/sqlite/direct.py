"""Reading past SQLAlchemy: one hop to the driver's thread instead of four, and no greenlet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from keyauthority.storage.sql.direct import MANY, Direct

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")


class SqliteDirect(Direct):
    """`Direct` in the words of SQLite, which knows no lists. Either `ids` or single values."""

    def __init__(self, query: Select[Any]) -> None:
        super().__init__(query, _DIALECT)

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters, in their order, for *values* by name."""
        if MANY not in self.text:
            return self.text, self.parameters(values)
        ids = values["ids"]
        return self.text.replace(MANY, ", ".join("?" * len(ids)) or "NULL"), ids
