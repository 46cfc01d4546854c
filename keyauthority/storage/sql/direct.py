"""Statements that bypass SQLAlchemy, which costs several times what the driver does."""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sqlalchemy import Dialect, Select, Table, UpdateBase
from sqlalchemy.sql.dml import ReturningUpdate

Query: TypeAlias = Select[Any] | ReturningUpdate[Any]
"""A statement that has rows."""

_MANY: Final = re.compile(r"__\[POSTCOMPILE_(\w+)[^\]]*\]")


class Direct:
    """A statement with rows, compiled once, with parameters that are single values or lists.

    The column types convert its rows, as in SQLAlchemy, and the columns have their names; NULL of any
    type is None. Parameters are not converted. `lists` holds the placeholder in the text for each
    list, by the list's name; `fixed` holds the values that are part of the statement.
    """

    def __init__(self, query: Query, dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect)
        self.text = str(compiled)
        self.names = tuple(compiled.positiontup or ())
        self.lists = {match[1]: match[0] for match in _MANY.finditer(self.text)}
        self.fixed = compiled.params
        self._converters: list[tuple[int, Callable[[Any], Any]]] = []
        columns = query.exported_columns
        row: Any = namedtuple("Row", [str(column.key) for column in columns])  # type: ignore[misc]  # noqa: PYI024
        self._row: Callable[[list[Any]], Any] = row._make
        for place, column in enumerate(columns):
            convert = column.type.dialect_impl(dialect).result_processor(dialect, None)
            if convert is not None:
                self._converters.append((place, convert))

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Returns the driver's *rows* as Python values."""
        converted = []
        for row in rows:
            values = list(row)
            for place, convert in self._converters:
                if values[place] is not None:
                    values[place] = convert(values[place])
            converted.append(self._row(values))
        return converted


class Write:
    """A statement without rows, compiled once for parameters with *names*; column types convert them."""

    def __init__(self, statement: UpdateBase, names: Sequence[str], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        self.text = str(compiled)
        self._parameters = [
            (name, compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
            for name in compiled.positiontup or ()
        ]

    def bound(self, values: Mapping[str, Any]) -> list[Any]:
        """Returns the parameters, in their order, for *values* by name."""
        return [
            values[name] if convert is None else convert(values[name])
            for name, convert in self._parameters
        ]


@dataclass(frozen=True, eq=False)
class Insertion:
    """An insert into *table*, of rows that have a value for each column, as the database stores it.

    A row that has the same *keys* as another gets the values of the new one for the columns in
    *replaced*; without *keys* that is an error. Those in *added* grow by the new values.
    """

    table: Table
    keys: Sequence[str] = ()
    replaced: Sequence[str] = ()
    added: Sequence[str] = ()

    def text(self, source: str) -> str:
        """Returns the statement that inserts the rows of *source*."""
        name = self.table.name
        columns = ", ".join(column.name for column in self.table.columns)
        return f"INSERT INTO {name} ({columns}) {source}{self._on_conflict}"

    @property
    def _on_conflict(self) -> str:
        if not self.keys:
            return ""
        changes = [f"{column} = excluded.{column}" for column in self.replaced]
        changes += [
            f"{column} = {self.table.name}.{column} + excluded.{column}" for column in self.added
        ]
        return f" ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {', '.join(changes)}"
