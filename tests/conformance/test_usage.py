"""What a workspace's charges come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from keyauthority.domain.ledger import Entry, Kind, Use, Written
from keyauthority.domain.ports import Store
from keyauthority.domain.usage import Group, Span, UsageSum
from keyauthority.escrow.slices import Account
from tests.conformance.records import DAY, MICROSECOND, SECOND, START, a_workspace
from tests.transactions import changing, reading

HOUR = timedelta(hours=1)
ALL = Span(START - DAY, START + 10 * DAY, timedelta())


def charge(number: int, cost: int, use: Use, **fields: Any) -> Entry:
    entry = Entry("ws_1", number, Kind.CHARGE, -cost, 0, f"c{number}", START, use=use)
    return replace(entry, **fields)


def use(model: str = "gpt-5", key_id: str = "key_1", **fields: Any) -> Use:
    return Use(key_id, model, **fields)


ENTRIES = (
    charge(1, 10, use(counts={"input": 3, "output": 2**40, "images": 0, "of no price": 7})),
    charge(2, 20, use("gpt-4", counts={"input": 5}, estimated=True)),
    charge(3, 30, use(key_id="key_2"), time=START + DAY),
    replace(charge(4, -4, use=Use()), kind=Kind.REFUND, subject="c2", time=START + DAY),
    replace(charge(5, 7, use=Use()), kind=Kind.REFUND, subject="a grant"),
    replace(charge(6, -100, use=Use()), kind=Kind.GRANT, reference="a grant"),
    replace(charge(7, 8, use=Use()), kind=Kind.ADJUSTMENT),
)


async def write(store: Store, *entries: Entry, workspace_id: str = "ws_1") -> None:
    async with changing(store) as tx:
        await tx.ledger.write([Written(workspace_id, Account(0), entries)])


async def usage(
    store: Store, span: Span = ALL, *groups: Group
) -> Mapping[tuple[str, ...], UsageSum]:
    """The sums by what they are of, each added up from its parts."""
    async with reading(store) as tx:
        parts = await tx.ledger.usage("ws_1", span, frozenset(groups))
    sums: dict[tuple[str, ...], UsageSum] = {}
    for part in parts:
        place = part.place(groups)
        sums[place] = sums[place] + part if place in sums else part
    return sums


async def test_nothing_was_used(store: Store) -> None:
    for groups in ((), tuple(Group)):
        assert await usage(store, ALL, *groups) == {}


async def test_everything_in_one_sum(store: Store) -> None:
    """Charges less their refunds; not what was bought, returned of that, or corrected."""
    await write(store, *ENTRIES)

    counts = {"input": 8, "output": 2**40}
    assert await usage(store) == {(): UsageSum(None, "", "", 56, 3, 1, counts, 4)}


async def test_by_each_of_the_groups(store: Store) -> None:
    """A refund is of the day it was made on, and of the key and model of its charge."""
    await write(store, *ENTRIES)

    today, tomorrow = date(2030, 1, 2), date(2030, 1, 3)
    assert await usage(store, ALL, Group.DAY) == {
        ("2030-01-02",): UsageSum(today, "", "", 30, 2, 1, {"input": 8, "output": 2**40}),
        ("2030-01-03",): UsageSum(tomorrow, "", "", 26, 1, 0, {}, 4),
    }
    assert {place: one.cost for place, one in (await usage(store, ALL, Group.KEY)).items()} == {
        ("key_1",): 26,
        ("key_2",): 30,
    }
    assert await usage(store, ALL, Group.MODEL) == {
        ("gpt-5",): UsageSum(None, "", "gpt-5", 40, 2, 0, {"input": 3, "output": 2**40}),
        ("gpt-4",): UsageSum(None, "", "gpt-4", 16, 1, 1, {"input": 5}, 4),
    }
    every = await usage(store, ALL, Group.MODEL, Group.DAY, Group.KEY)
    assert {place: one.cost for place, one in every.items()} == {
        ("gpt-5", "2030-01-02", "key_1"): 10,
        ("gpt-4", "2030-01-02", "key_1"): 20,
        ("gpt-5", "2030-01-03", "key_2"): 30,
        ("gpt-4", "2030-01-03", "key_1"): -4,
    }


@pytest.mark.parametrize(
    ("ahead", "day"),
    [(-4, "2030-01-01"), (-3, "2030-01-02"), (20, "2030-01-02"), (21, "2030-01-03")],
)
async def test_days_begin_where_the_clocks_say(store: Store, ahead: int, day: str) -> None:
    """START is at 03:04:05.678901 in UTC."""
    await write(store, charge(1, 1, use()))

    assert list(await usage(store, replace(ALL, offset=ahead * HOUR), Group.DAY)) == [(day,)]


async def test_a_span_ends_before_its_end(store: Store) -> None:
    """And refunds are counted where they were made, wherever their charge is."""
    await write(store, *ENTRIES)

    async def cost(start: Any, end: Any) -> int:
        sums = await usage(store, Span(start, end, timedelta()))
        return sums[()].cost if sums else 0

    assert await cost(START, START + DAY) == 30
    assert await cost(START, START + DAY + MICROSECOND) == 56
    assert await cost(START + MICROSECOND, START + DAY) == 0
    assert await cost(START + DAY, START + 2 * DAY) == 26


async def test_the_usage_of_one_workspace(store: Store) -> None:
    """Two may have charges of the same name."""
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
    await write(store, *ENTRIES)
    other = [replace(entry, workspace_id="ws_2", amount=5 * entry.amount) for entry in ENTRIES]
    await write(store, *other, workspace_id="ws_2")

    assert (await usage(store))[()].cost == 56


async def test_sums_that_64_bits_cannot_hold(store: Store) -> None:
    cost, count = 10**17 - 1, 2**62 - 1
    await write(store, *(charge(n, cost, use(counts={"input": count})) for n in range(1, 100)))

    assert await usage(store) == {
        (): UsageSum(None, "", "", 99 * cost, 99, 0, {"input": 99 * count})
    }


async def test_the_time_of_an_entry(store: Store) -> None:
    """By its place in time, within bounds, of which the second is not one of them."""
    times = [START + number * SECOND for number in (3, 1, 2, 2)]
    await write(store, *(charge(n, 1, use(), time=time) for n, time in enumerate(times, 1)))

    async def times_of(start: Any, end: Any) -> list[Any]:
        async with reading(store) as tx:
            found = [await tx.ledger.time_of("ws_1", start, end, place) for place in range(5)]
            assert await tx.ledger.time_of("ws_2", start, end, 0) is None
            return [time and (time - START) // SECOND for time in found]

    assert await times_of(START, START + DAY) == [1, 2, 2, 3, None]
    assert await times_of(START + 2 * SECOND, START + 3 * SECOND) == [2, 2, None, None, None]
