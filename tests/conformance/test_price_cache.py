"""The price table in memory, and the changes that it is read again for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.credits.price_cache import PriceCache
from keyauthority.domain.credits.pricing import NewPrice, Prices
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Transaction
from keyauthority.pricing.prices import Price, PriceTable, Rates
from tests.conformance.records import DAY, SECOND, START, ManualClock
from tests.domain.parts import an_actor
from tests.transactions import changing

HOUR = timedelta(hours=1)


class Reader:
    """Whoever looks for prices; `tables` are the different ones that it saw."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cache = PriceCache()
        self.tables: list[PriceTable] = []

    async def set(self, request: int) -> None:
        row = NewPrice("gpt-5", "*", None, Rates(request=request))
        await Prices(Books(self.store, Unfenced())).set(an_actor(), [row])

    async def cost(self, late: timedelta = timedelta()) -> int | None:
        """What a request costs, in a transaction that changes something."""
        async with changing(self.store) as tx:
            return _cost(await self._table(tx, late), tx, late)

    async def _table(self, tx: Transaction, late: timedelta) -> PriceTable:
        table = await self.cache.table(tx, tx.time - late)
        if not self.tables or self.tables[-1] is not table:
            self.tables.append(table)
        return table

    async def change(self, number: int = 1) -> None:
        async with changing(self.store) as tx:
            await tx.feed.advance(["key_1"] * number)


def _cost(table: PriceTable, tx: Transaction, late: timedelta) -> int | None:
    price: Price | None = table.find("gpt-5", "/v1/x", tx.time - late)
    return None if price is None else price.rates.request


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(store)


async def test_it_is_read_again_when_it_has_changed(reader: Reader, clock: ManualClock) -> None:
    """Not for other changes, and whoever changed it."""
    assert await reader.cost() is None
    await reader.change(7)
    assert await reader.cost() is None
    assert len(reader.tables) == 1

    for price in (3, 4):
        clock.time += SECOND
        await reader.set(price)
        assert [await reader.cost(), await reader.cost()] == [price, price]
    assert len(reader.tables) == 3


async def test_changes_that_are_not_known_may_be_of_prices(
    reader: Reader, store: Store, clock: ManualClock
) -> None:
    """They are too many, or were forgotten, or of another era."""
    await reader.set(3)
    assert await reader.cost() == 3
    clock.time += SECOND
    await reader.set(4)
    await reader.change(1_000)
    assert await reader.cost() == 4

    clock.time += SECOND
    await reader.set(5)
    await reader.change()
    async with changing(store) as tx:
        await tx.feed.prune(1)
    assert await reader.cost() == 5

    async with changing(store) as tx:
        await tx.leases.begin_epoch(START + DAY)
    assert await reader.cost() == 5
    assert len(reader.tables) == 4


async def test_it_goes_as_far_back_as_is_needed(reader: Reader, clock: ManualClock) -> None:
    """A row that another took over still counts for what came before."""
    await reader.set(3)
    clock.time += HOUR
    await reader.set(4)
    assert await reader.cost() == 4
    assert await reader.cost(late=HOUR) == 3
    clock.time += HOUR
    assert [await reader.cost(), await reader.cost(late=2 * HOUR)] == [4, 3]
    assert len(reader.tables) == 2
