"""Reading past SQLAlchemy: one hop to the driver's thread instead of four, and no greenlet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_DIALECT: Final = SQLiteDialect_pysqlite(paramstyle="qmark")
_MANY: Final = "__[POSTCOMPILE_ids]"


class Direct:
    """A select, compiled once, with parameters that are single values and perhaps one list, `ids`.

    Its rows are converted by the column types, as SQLAlchemy would.
    """

    def __init__(self, query: Select[Any]) -> None:
        compiled = query.compile(dialect=_DIALECT)
        self._text = str(compiled)
        self._names = [name for name in compiled.positiontup or () if name != "ids"]
        self._fixed = compiled.params
        self._converters: list[tuple[int, Callable[[Any], Any]]] = []
        for place, column in enumerate(query.selected_columns):
            convert = column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)
            if convert is not None:
                self._converters.append((place, convert))

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters, in their order, for *values* by name."""
        if _MANY not in self._text:
            return self._text, [values.get(name, self._fixed[name]) for name in self._names]
        ids = values["ids"]
        return self._text.replace(_MANY, ", ".join("?" * len(ids)) or "NULL"), ids

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The driver's *rows* as Python values."""
        converted = [list(row) for row in rows]
        for row in converted:
            for place, convert in self._converters:
                row[place] = convert(row[place])
        return converted
