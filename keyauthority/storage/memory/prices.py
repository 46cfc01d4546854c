"""The price table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from keyauthority.domain.repositories import Cursor
from keyauthority.pricing.prices import Pattern, Price
from keyauthority.storage.memory.books import Repository

Place = tuple[Pattern, Pattern, datetime]


class MemoryPrices(Repository):
    """`Prices` within one transaction."""

    async def to_change(self, models: Iterable[str]) -> list[Price]:
        wanted = set(models)
        return [price for price in self._books.prices.values() if price.model.text in wanted]

    async def insert(self, prices: Sequence[Price]) -> None:
        table = self._books.prices
        places = {_place(price) for price in table.values()}
        for price in prices:
            if price.id in table or _place(price) in places:
                raise ValueError("the table has a row in that place")
            table[price.id] = price
            places.add(_place(price))

    async def current(self, now: datetime) -> list[Price]:
        newest: dict[tuple[Pattern, Pattern], Price] = {}
        for price in sorted(self._books.prices.values(), key=_cursor):
            if price.effective_time <= now:
                newest[price.model, price.path] = price
        later = [price for price in self._books.prices.values() if price.effective_time > now]
        return [*newest.values(), *later]

    async def count(self, now: datetime) -> int:
        return len(await self.current(now))

    async def page(self, limit: int, after: Cursor | None) -> list[Price]:
        ordered = sorted(self._books.prices.values(), key=_cursor, reverse=True)
        return [price for price in ordered if after is None or _cursor(price) < after][:limit]


def _cursor(price: Price) -> Cursor:
    return price.effective_time, price.id


def _place(price: Price) -> Place:
    return price.model, price.path, price.effective_time
