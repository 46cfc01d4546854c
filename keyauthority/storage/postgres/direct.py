"""Running statements straight on asyncpg: a fourth of the time that SQLAlchemy takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from keyauthority.storage.sql.direct import Direct

_DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]
_TYPES: Final = {"ids": "TEXT[]", "digests": "BYTEA[]", "secrets": "BYTEA[]"}


class PostgresDirect(Direct):
    """`Direct` in the words of PostgreSQL. A list is one parameter, after those that aren't: so the
    text is always the same, and asyncpg prepares it once on each connection.
    """

    def __init__(self, query: Select[Any]) -> None:
        super().__init__(query, _DIALECT)
        self._single = [name for name in self.names if name not in self.lists]
        for place, (name, many) in enumerate(self.lists.items(), len(self._single) + 1):
            self.text = self.text.replace(f"IN ({many})", f"= ANY (${place}::{_TYPES[name]})")

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters, in their order, for *values* by name."""
        single = [without_nul(values.get(name, self.fixed[name])) for name in self._single]
        return self.text, [*single, *(list(map(without_nul, values[n])) for n in self.lists)]


def without_nul(value: Any) -> Any:
    """*value* as PostgreSQL can take it: its text has no NUL. Nothing that is kept here has one, so
    what is asked for with one is not found.
    """
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
