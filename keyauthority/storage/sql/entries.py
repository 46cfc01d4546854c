"""Listing a workspace's entries, a bounded part of them at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    literal_column,
    select,
    type_coerce,
)

from keyauthority.domain.ledger import Entry, EntryFilter, Kind
from keyauthority.storage.ledger_tables import IS_NO_CHARGE, entries, entry_of
from keyauthority.storage.sql.statements import Statements

PIECE: Final = 2_000
"""Entries that one statement looks at: on SQLite everybody waits for its end."""

_EQUAL: Final = ("reference", "key_id", "model", "kind")
"""What entries may have to be equal in; the index that leaves the fewest entries first."""


class EntryReader:
    """Reads the entries that *which* matches.

    One of its conditions is served by an index. The entries that are found so are looked through for
    the others, *piece* of them at a time.
    """

    def __init__(self, statements: Statements, which: EntryFilter, piece: int = PIECE) -> None:
        self._statements = statements
        self._which = which
        self._piece = piece
        self._equal = {name: getattr(which, name) for name in _EQUAL if getattr(which, name)}
        served = next(iter(self._equal), "")
        # Most entries are charges: there is no index of these.
        self._served = "" if which.kind is Kind.CHARGE and served == "kind" else served

    async def page(self, limit: int, before: int | None) -> tuple[list[Entry], int | None]:
        """Returns what `Ledger.page` promises."""
        by_index = select(entries).where(*self._by_index(before))
        newest_first = by_index.order_by(entries.c.number.desc())
        others = [name for name in self._equal if name != self._served]
        if not others and not self._within(entries):
            return await self._entries(newest_first.limit(limit)), None
        if await self._are_few_in_time():
            return await self._of_time(limit, before), None
        part = newest_first.limit(self._piece)
        matching = await self._matching(part, others, limit)
        if len(matching) == limit:
            return matching, None
        numbers = newest_first.with_only_columns(entries.c.number)
        last = await self._statements.row(numbers.offset(self._piece - 1).limit(1))
        return matching, None if last is None else last.number

    async def _are_few_in_time(self) -> bool:
        within = self._within(entries)
        if not within:
            return False
        query = select(entries.c.time).where(self._of_workspace(), *within)
        last = query.order_by(entries.c.time).offset(self._piece).limit(1)
        return await self._statements.row(last) is None

    async def _of_time(self, limit: int, before: int | None) -> list[Entry]:
        part = select(entries).where(self._of_workspace(), *self._within(entries))
        part = part.order_by(entries.c.time).limit(self._piece)
        return await self._matching(part, self._equal, limit, before)

    async def _matching(
        self, part: Select[Any], equal: Iterable[str], limit: int, before: int | None = None
    ) -> list[Entry]:
        # The length of the part is limited, so no database looks for these conditions elsewhere.
        rows = part.subquery()
        query = select(rows).where(*(rows.c[name] == self._equal[name] for name in equal))
        query = query.where(*self._within(rows))
        if before is not None:
            query = query.where(rows.c.number < before)
        return await self._entries(query.order_by(rows.c.number.desc()).limit(limit))

    async def _entries(self, query: Select[Any]) -> list[Entry]:
        return [entry_of(row) for row in await self._statements.rows(query)]

    def _by_index(self, before: int | None) -> list[Any]:
        conditions: list[Any] = [self._of_workspace()]
        if before is not None:
            conditions.append(entries.c.number < before)
        if self._served == "kind" and self._which.kind is not None:
            # It stands in the statement: a plan for any parameter uses no partial index.
            number = literal_column(str(self._which.kind.value), Integer)
            conditions += [type_coerce(entries.c.kind, Integer) == number, IS_NO_CHARGE]
        elif self._served:
            conditions.append(entries.c[self._served] == self._equal[self._served])
        return conditions

    def _of_workspace(self) -> ColumnElement[bool]:
        return entries.c.workspace_id == self._which.workspace_id

    def _within(self, rows: FromClause) -> list[ColumnElement[bool]]:
        conditions = []
        if self._which.start is not None:
            conditions.append(rows.c.time >= self._which.start)
        if self._which.end is not None:
            conditions.append(rows.c.time < self._which.end)
        return conditions
