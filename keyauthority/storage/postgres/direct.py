"""Statements for PostgreSQL that bypass SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import UpdateBase
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from keyauthority.base.relational.columns import without_nul
from keyauthority.storage.sql.direct import Direct, Insertion, Query, Write

_DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
_TYPES: Final = {
    "ids": "TEXT[]",
    "workspace_ids": "TEXT[]",
    "digests": "BYTEA[]",
    "secrets": "BYTEA[]",
}


def storable(value: Any) -> Any:
    """Returns *value*, a text without the character that PostgreSQL can't store."""
    return without_nul(value) if isinstance(value, str) else value


class PostgresDirect(Direct):
    """`Direct` for PostgreSQL. A list is one parameter, after the single values: so the text is
    always the same, and asyncpg prepares it once on each connection.
    """

    def __init__(self, query: Query) -> None:
        super().__init__(query, _DIALECT)
        self._single = [name for name in self.names if name not in self.lists]
        for place, (name, many) in enumerate(self.lists.items(), len(self._single) + 1):
            self.text = self.text.replace(f"IN ({many})", f"= ANY (${place}::{_TYPES[name]})")

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """Returns the statement and its parameters, in their order, for *values* by name."""
        single = [storable(values.get(name, self.fixed[name])) for name in self._single]
        return self.text, [*single, *(list(map(storable, values[n])) for n in self.lists)]


@cache
def direct_of(query: Query) -> PostgresDirect:
    """Returns *query*, one of the constants of these rooms, compiled."""
    return PostgresDirect(query)


@cache
def write_of(statement: UpdateBase, names: tuple[str, ...]) -> Write:
    """Returns *statement*, one of the constants of these rooms, compiled."""
    return Write(statement, names, _DIALECT)


@cache
def insertion_of(insertion: Insertion) -> str:
    """Returns the statement that inserts rows, which are given by column: each parameter is an array."""
    types = [column.type.compile(_DIALECT).split()[0] for column in insertion.table.columns]
    arrays = ", ".join(f"${place}::{name}[]" for place, name in enumerate(types, 1))
    return insertion.text(f"SELECT * FROM unnest({arrays})")  # noqa: S608
