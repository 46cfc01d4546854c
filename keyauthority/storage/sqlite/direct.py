"""Reading past SQLAlchemy: one hop to the driver's thread instead of four, and no greenlet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")
_MANY: Final = re.compile(r"__\[POSTCOMPILE_(\w+)\]")


class Direct:
    """A select, compiled once, with parameters that are single values or lists.

    Its rows are converted by the column types, as SQLAlchemy would.
    """

    def __init__(self, query: Select[Any]) -> None:
        compiled = query.compile(dialect=_DIALECT)
        self._text = str(compiled)
        self._names = compiled.positiontup or ()
        self._lists = {match[1]: match[0] for match in _MANY.finditer(self._text)}
        self._fixed = compiled.params
        self._converters: list[tuple[int, Callable[[Any], Any]]] = []
        for place, column in enumerate(query.selected_columns):
            convert = column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
            if convert is not None:
                self._converters.append((place, convert))

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters, in their order, for *values* by name."""
        text, bound = self._text, []
        for name in self._names:
            if name in self._lists:
                marks = ", ".join("?" * len(values[name])) or "NULL"
                text = text.replace(self._lists[name], marks, 1)
                bound += values[name]
            else:
                bound.append(values.get(name, self._fixed[name]))
        return text, bound

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The driver's *rows* as Python values."""
        converted = [list(row) for row in rows]
        for row in converted:
            for place, convert in self._converters:
                row[place] = convert(row[place])
        return converted
