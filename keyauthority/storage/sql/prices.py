"""The price table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, exists, func, insert, literal, or_, select, tuple_

from keyauthority.base.relational.columns import Moment
from keyauthority.domain.repositories import Cursor
from keyauthority.pricing.prices import Price
from keyauthority.storage.price_tables import price_of, price_values, prices
from keyauthority.storage.sql.statements import Repository

_INSERT: Final = insert(prices)


class SqlPrices(Repository):
    """`Prices` within one transaction."""

    async def to_change(self, models: Iterable[str]) -> list[Price]:
        await self._statements.alone("prices")
        query = select(prices).where(prices.c.model.in_(list(models)))
        return [price_of(row) for row in await self._statements.rows(query)]

    async def insert(self, new: Sequence[Price]) -> None:
        await self._statements.write(_INSERT, [price_values(price) for price in new])

    async def current(self, now: datetime) -> list[Price]:
        rows = await self._statements.rows(select(prices).where(_counts(now)))
        return [price_of(row) for row in rows]

    async def count(self, now: datetime) -> int:
        query = select(func.count()).select_from(prices).where(_counts(now))
        [(count,)] = await self._statements.rows(query)
        return int(count)

    async def page(self, limit: int, after: Cursor | None) -> list[Price]:
        query = select(prices)
        place = tuple_(prices.c.effective_time, prices.c.id)
        if after is not None:
            time, price_id = after
            query = query.where(place < tuple_(literal(time, Moment), literal(price_id)))
        query = query.order_by(prices.c.effective_time.desc(), prices.c.id.desc()).limit(limit)
        return [price_of(row) for row in await self._statements.rows(query)]


def _counts(now: datetime) -> ColumnElement[bool]:
    other = prices.alias()
    took_over = exists().where(
        other.c.model == prices.c.model,
        other.c.path == prices.c.path,
        other.c.effective_time > prices.c.effective_time,
        other.c.effective_time <= now,
    )
    return or_(prices.c.effective_time > now, ~took_over)
