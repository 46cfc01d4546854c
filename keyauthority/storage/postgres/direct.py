"""Running statements straight on asyncpg: a fourth of the time that SQLAlchemy takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from keyauthority.storage.sql.direct import MANY, Direct

_DIALECT: Final = PGDialect_asyncpg()  # type: ignore[no-untyped-call]


class PostgresDirect(Direct):
    """`Direct` in the words of PostgreSQL. A list is one parameter: the text is always the same,
    and asyncpg prepares it once on each connection.
    """

    def __init__(self, query: Select[Any]) -> None:
        super().__init__(query, _DIALECT)
        self._many = MANY in self.text
        self.text = self.text.replace(f"IN ({MANY})", f"= ANY (${len(self.names) + 1}::TEXT[])")

    def bound(self, values: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters, in their order, for *values* by name."""
        parameters = self.parameters(values)
        return self.text, [*parameters, list(values["ids"])] if self._many else parameters
