"""Reading past SQLAlchemy: one hop to the driver's thread instead of four, and no greenlet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")
_IDS: Final = "__[POSTCOMPILE_ids]"


class Direct:
    """A select with the one parameter `ids`, compiled once.

    Its rows are converted by the column types, as SQLAlchemy would.
    """

    def __init__(self, query: Select[Any]) -> None:
        self._before, self._after = str(query.compile(dialect=_DIALECT)).split(_IDS)
        self._converters: list[tuple[int, Callable[[Any], Any]]] = []
        for place, column in enumerate(query.selected_columns):
            convert = column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
            if convert is not None:
                self._converters.append((place, convert))

    def sql(self, count: int) -> str:
        """The statement for *count* ids."""
        return f"{self._before}{', '.join('?' * count) or 'NULL'}{self._after}"

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The driver's *rows* as Python values."""
        converted = [list(row) for row in rows]
        for row in converted:
            for place, convert in self._converters:
                row[place] = convert(row[place])
        return converted
