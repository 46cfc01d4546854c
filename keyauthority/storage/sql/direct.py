"""Running a statement past SQLAlchemy, which costs several times what the driver does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Dialect, Select

MANY: Final = "__[POSTCOMPILE_ids]"
"""What stands for the list `ids` in the compiled statement."""


class Direct:
    """A select, compiled once, with parameters that are single values and perhaps one list, `ids`.

    Its rows are converted by the column types, as SQLAlchemy would; the parameters are not.
    """

    def __init__(self, query: Select[Any], dialect: Dialect) -> None:
        compiled = query.compile(dialect=dialect)
        self.text = str(compiled)
        self.names = [name for name in compiled.positiontup or () if name != "ids"]
        self._fixed = compiled.params
        self._converters: list[tuple[int, Callable[[Any], Any]]] = []
        for place, column in enumerate(query.selected_columns):
            convert = column.type.dialect_impl(dialect).result_processor(dialect, None)
            if convert is not None:
                self._converters.append((place, convert))

    def parameters(self, values: Mapping[str, Any]) -> list[Any]:
        """The single parameters in their order, for *values* by name."""
        return [values.get(name, self._fixed[name]) for name in self.names]

    def converted(self, rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
        """The driver's *rows* as Python values."""
        converted = [list(row) for row in rows]
        for row in converted:
            for place, convert in self._converters:
                row[place] = convert(row[place])
        return converted
