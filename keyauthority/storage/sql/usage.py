"""What a workspace's charges come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    and_,
    case,
    func,
    literal_column,
    select,
    type_coerce,
)

from keyauthority.domain.ledger import Kind
from keyauthority.domain.usage import CLASSES, DAY, Group, Span, UsageSum
from keyauthority.storage.ledger_tables import entries
from keyauthority.storage.sql.statements import AnyRow, Statements
from keyauthority.storage.sql.sums import halves, whole

_FIRST_DAY: Final = date(1970, 1, 1)
_MICROSECOND: Final = timedelta(microseconds=1)


class UsageReader:
    """Reads the sums of a workspace's entries in *span*, in parts: several may be of one group."""

    def __init__(
        self, statements: Statements, workspace_id: str, span: Span, groups: frozenset[Group]
    ) -> None:
        self._statements = statements
        self._workspace_id = workspace_id
        self._span = span
        self._groups = groups

    async def charges(self) -> list[UsageSum]:
        """Returns what the charges cost and used, and how many there are."""
        by = self._by(entries, entries)
        estimated = func.coalesce(func.sum(case((entries.c.estimated, 1), else_=0)), 0)
        numbers = self._statements.numbers(entries.c.counts, CLASSES)
        sums = [half for column in (entries.c.amount, *numbers) for half in halves(column)]
        query = select(*by, func.count(), estimated, *sums).select_from(entries)
        rows = await self._rows(query.where(self._within(entries, Kind.CHARGE)).group_by(*by))
        return [
            replace(
                group,
                cost=-whole(*sums[:2]),
                charges=count,
                estimated=int(estimates),
                counts=_counts(sums[2:]),
            )
            for group, (count, estimates, *sums) in rows
            if count
        ]

    async def refunds(self) -> list[UsageSum]:
        """Returns what was refunded of charges, as costs below zero."""
        refunds = entries.alias("refunds")
        by = self._by(entries, refunds)
        query = select(*by, func.count(), *halves(refunds.c.amount)).join_from(
            refunds,
            entries,
            and_(
                entries.c.workspace_id == refunds.c.workspace_id,
                entries.c.reference == refunds.c.subject,
                entries.c.kind == Kind.CHARGE,
            ),
        )
        rows = await self._rows(query.where(self._within(refunds, Kind.REFUND)).group_by(*by))
        refunded = [(group, whole(*sums)) for group, (count, *sums) in rows if count]
        return [replace(group, cost=-amount, refunded=amount) for group, amount in refunded]

    async def _rows(self, query: Any) -> list[tuple[UsageSum, list[Any]]]:
        # Each row as its group, without sums, and the rest.
        return [self._split(row) for row in await self._statements.rows(query)]

    def _split(self, row: AnyRow) -> tuple[UsageSum, list[Any]]:
        values = list(row)
        day = _FIRST_DAY + timedelta(days=values.pop(0)) if Group.DAY in self._groups else None
        key_id = values.pop(0) if Group.KEY in self._groups else ""
        model = values.pop(0) if Group.MODEL in self._groups else ""
        return UsageSum(day, key_id, model), values

    def _by(self, charges: FromClause, dated: FromClause) -> list[ColumnElement[Any]]:
        # The numbers stand in the statement: PostgreSQL takes two parameters for two expressions.
        shift = literal_column(str(self._span.offset // _MICROSECOND), BigInteger)
        length = literal_column(str(DAY // _MICROSECOND), BigInteger)
        columns: dict[Group, ColumnElement[Any]] = {
            Group.DAY: (type_coerce(dated.c.time, BigInteger) + shift) // length,
            Group.KEY: charges.c.key_id,
            Group.MODEL: charges.c.model,
        }
        return [column for group, column in columns.items() if group in self._groups]

    def _within(self, table: FromClause, kind: Kind) -> ColumnElement[bool]:
        # The kind stands in the statement, too: a plan for any parameter uses no partial index.
        number = literal_column(str(kind.value), Integer)
        return and_(
            table.c.workspace_id == self._workspace_id,
            table.c.time >= self._span.start,
            table.c.time < self._span.end,
            type_coerce(table.c.kind, Integer) == number,
        )


def _counts(sums: Sequence[int]) -> dict[str, int]:
    pairs = zip(CLASSES, sums[::2], sums[1::2], strict=True)
    return {name: whole(high, low) for name, high, low in pairs if high or low}
