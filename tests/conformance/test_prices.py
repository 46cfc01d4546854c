"""The price table."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from keyauthority.domain.ports import Store
from keyauthority.pricing.prices import Pattern, Price, Rates
from tests.conformance.records import DAY, MICROSECOND, START, ManualClock, undone
from tests.postgres import open_postgres_in, run_sql
from tests.transactions import changing, reading

ALL = Rates(*range(10**17 - 12, 10**17))


def a_price(price_id: str = "price_1", time: datetime = START, **fields: Any) -> Price:
    price = Price(price_id, Pattern("gpt-5*"), Pattern("/v1/x"), time, Rates(input=1, output=0))
    return replace(price, **fields)


async def insert(store: Store, *prices: Price) -> None:
    async with changing(store) as tx:
        await tx.prices.insert(prices)


async def current(store: Store, now: datetime) -> set[str]:
    async with reading(store) as tx:
        prices = await tx.prices.current(now)
        assert await tx.prices.count(now) == len(prices)
        return {price.id for price in prices}


async def test_what_is_written_comes_back(store: Store) -> None:
    """Every rate, those that are not set, and zero, which is not the same."""
    rows = [
        a_price("price_1", rates=ALL),
        a_price("price_2", model=Pattern("*"), path=Pattern("*")),
        a_price("price_3", START + MICROSECOND, rates=Rates(request=0)),
    ]
    await insert(store, *rows)

    async with reading(store) as tx:
        assert await tx.prices.page(9, None) == [rows[2], rows[1], rows[0]]
        assert sorted(await tx.prices.current(START - DAY), key=lambda row: row.id) == rows
    async with changing(store) as tx:
        assert await tx.prices.to_change(["*", "no model"]) == [rows[1]]
        assert len(await tx.prices.to_change(["*", "gpt-5*"])) == 3


async def test_which_rows_count(store: Store) -> None:
    """Of the same patterns the newest that is not of later, and all of later."""
    await insert(
        store,
        a_price("old", START),
        a_price("new", START + DAY),
        a_price("later", START + 2 * DAY),
        a_price("latest", START + 3 * DAY),
        a_price("of another path", START, path=Pattern("/v1/*")),
        a_price("of another model", START, model=Pattern("gpt-5")),
    )
    others = {"of another path", "of another model"}

    assert await current(store, START + DAY) == {"new", "later", "latest", *others}
    assert await current(store, START + DAY - MICROSECOND) == {
        "old",
        "new",
        "later",
        "latest",
        *others,
    }
    assert await current(store, START + 9 * DAY) == {"latest", *others}


async def test_pages_go_from_the_newest(store: Store) -> None:
    """By time, then by id."""
    rows = [
        a_price(name, START + days * DAY, path=Pattern(name))
        for name, days in (("a", 1), ("c", 0), ("b", 0), ("d", 2))
    ]
    await insert(store, *rows)

    async with reading(store) as tx:
        first = await tx.prices.page(2, None)
        rest = await tx.prices.page(9, (first[-1].effective_time, first[-1].id))
        between = await tx.prices.page(9, (START, "c"))
    assert [price.id for price in (*first, *rest)] == ["d", "a", "c", "b"]
    assert [price.id for price in between] == ["b"]


@pytest.mark.parametrize(
    "other", [a_price("price_2"), a_price("price_1", START + DAY, path=Pattern("*"))]
)
async def test_no_row_takes_the_place_of_another(store: Store, other: Price) -> None:
    """Neither with its patterns and time, nor with its id: that is a mistake of ours."""
    await insert(store, a_price())

    with pytest.raises(Exception, match=r"place|never changed|unique"):
        await insert(store, other)

    assert await current(store, START) == {"price_1"}


async def test_an_undone_change_leaves_nothing(store: Store) -> None:
    async with undone(store) as tx:
        await tx.prices.insert([a_price()])

    assert await current(store, START) == set()


async def test_changes_take_turns(store: Store) -> None:
    """Who asks for rows to change sees what others added before: no row is added twice."""

    async def add() -> None:
        async with changing(store) as tx:
            if not await tx.prices.to_change(["gpt-5*"]):
                await tx.prices.insert([a_price()])

    async with changing(store) as tx:
        assert await tx.prices.to_change(["gpt-5*"]) == []
        other = asyncio.create_task(add())
        done, _ = await asyncio.wait([other], timeout=0.5)
        assert not done
        await tx.prices.insert([a_price()])
    await other

    assert await current(store, START) == {"price_1"}


async def test_postgres_lets_nobody_change_a_row(tmp_path: Path, clock: ManualClock) -> None:
    """As SQLite doesn't (`test_migrations`): the schema itself refuses."""
    async with open_postgres_in(tmp_path, clock) as store:
        await insert(store, a_price())
        url = (tmp_path / "postgres.url").read_text()
        for change in ("UPDATE {} SET rates = '{{}}'", "DELETE FROM {}", "TRUNCATE {}"):
            with pytest.raises(asyncpg.RaiseError, match="never changed or deleted"):
                await run_sql(url, change.format("credit_prices"))
