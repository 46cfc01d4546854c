"""Summing up usage: days of 23 and 25 hours, and pieces of a long time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from keyauthority.domain.books import Books, Unfenced
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.summarizing import MOST, Question, Summarizing
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ledger import Entry, Kind, Use, Written
from keyauthority.domain.usage import Group, UsageSum, spans, zone_of
from keyauthority.escrow.slices import Account
from tests.conformance.records import DAY, START, ManualClock
from tests.domain.parts import WatchedStore
from tests.transactions import changing

BERLIN = "Europe/Berlin"
HOUR = timedelta(hours=1)
QUESTION = Question("ws_1")


async def charge(store: WatchedStore, *times: datetime, **use: Any) -> None:
    """A charge of one at each of *times*."""
    async with changing(store) as tx:
        _, number = (await tx.ledger.accounts(["ws_1"]))["ws_1"]
        entries = [
            Entry("ws_1", n, Kind.CHARGE, -1, 0, f"c{n}", time, use=Use(**use))
            for n, time in enumerate(times, number + 1)
        ]
        await tx.ledger.write([Written("ws_1", Account(0), entries)])


async def summarize(
    store: WatchedStore, actor: Actor, at_once: int = 1_000, **fields: Any
) -> tuple[list[UsageSum], bool]:
    summarizing = Summarizing(Books(store, Unfenced()), at_once)
    return await summarizing.summarize(actor, replace(QUESTION, **fields))


def hours(start: datetime, count: int) -> list[datetime]:
    return [start + number * HOUR for number in range(count)]


@pytest.mark.parametrize(
    ("month", "day", "length"), [(3, 30, 24), (3, 31, 23), (4, 1, 24), (10, 26, 24), (10, 27, 25)]
)
@pytest.mark.parametrize("at_once", [1, 7, 1_000])
async def test_days_have_as_many_hours_as_they_have(
    store: WatchedStore, actor: Actor, month: int, day: int, length: int, at_once: int
) -> None:
    """A charge each hour, over a week in which clocks are put forward or back."""
    noon = datetime(2030, month, day, 12, tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    await charge(store, *hours(noon - 3 * DAY, 24 * 6))

    sums, truncated = await summarize(
        store,
        actor,
        at_once,
        start=noon - 3 * DAY,
        end=noon + 3 * DAY,
        groups=(Group.DAY,),
        time_zone=BERLIN,
    )

    by_day = {one.day: (one.charges, one.cost) for one in sums}
    assert by_day[datetime(2030, month, day, tzinfo=UTC).date()] == (length, length)
    assert sum(one.charges for one in sums) == 24 * 6
    assert not truncated


@pytest.mark.parametrize(
    "name",
    ["UTC", BERLIN, "America/St_Johns", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"],
)
def test_spans_have_the_offset_of_the_zone(name: str) -> None:
    """At both ends, whatever the zone; and they are all of the time."""
    start, zone = START - DAY, zone_of(name)
    end = start + 400 * DAY

    pieces = list(spans(start, end, zone))

    assert [pieces[0].start, *(one.end for one in pieces)] == [*(one.start for one in pieces), end]
    for one in pieces:
        for time in (one.start, one.start + (one.end - one.start) / 2, one.end - HOUR / 10**9):
            assert one.day_of(time) == time.astimezone(zone).date()
            assert time.astimezone(zone).utcoffset() == one.offset
    assert len(pieces) <= 5


def test_the_change_itself_is_where_a_span_ends() -> None:
    """To the microsecond; also where the time begins or ends with it."""
    change = datetime(2030, 3, 31, 1, tzinfo=UTC)
    zone = zone_of(BERLIN)
    cuts = [
        [one.end for one in spans(start, end, zone)]
        for start, end in (
            (change - DAY * 9 / 7, change + DAY),
            (change, change + DAY),
            (change - DAY, change),
        )
    ]
    assert cuts == [[change, change + DAY], [change + DAY], [change]]


async def test_without_a_time_it_is_the_last_thirty_days(
    store: WatchedStore, actor: Actor, clock: ManualClock
) -> None:
    """What was charged at this very moment counts."""
    await charge(store, START - 31 * DAY, START - 29 * DAY, START)

    [one], _ = await summarize(store, actor)
    assert one.charges == 2
    [one], _ = await summarize(store, actor, end=START)
    assert one.charges == 1


async def test_sums_stand_in_the_order_of_their_groups(store: WatchedStore, actor: Actor) -> None:
    await charge(store, START, key_id="key_2", model="a")
    await charge(store, START - DAY, key_id="key_1", model="b")

    by_key, _ = await summarize(store, actor, groups=(Group.KEY, Group.DAY))
    by_day, _ = await summarize(store, actor, groups=(Group.DAY, Group.KEY))
    by_model, _ = await summarize(store, actor, groups=(Group.MODEL,))

    assert [one.key_id for one in by_key] == ["key_1", "key_2"]
    assert [one.key_id for one in by_day] == ["key_1", "key_2"]
    assert [(one.model, one.key_id, one.day) for one in by_model] == [
        ("a", "", None),
        ("b", "", None),
    ]


async def test_there_are_more_than_an_answer_holds(store: WatchedStore, actor: Actor) -> None:
    """Then it has the first of them, each of them whole, and says so."""
    count = 3 * MOST + 7
    async with changing(store) as tx:
        entries = [
            Entry("ws_1", n, Kind.CHARGE, -1, 0, f"c{n}", START, use=Use(f"key_{n % count:05}"))
            for n in range(1, count + 10)
        ]
        entries += [
            replace(entry, number=n, reference=f"d{n}", time=START + HOUR)
            for n, entry in enumerate(entries, count + 10)
        ]
        await tx.ledger.write([Written("ws_1", Account(0), entries)])

    sums, truncated = await summarize(store, actor, count, groups=(Group.KEY,), end=START + DAY)

    assert truncated
    assert [one.key_id for one in sums] == [f"key_{n:05}" for n in range(MOST)]
    assert [one.charges for one in sums[:12]] == [2] + [4] * 9 + [2] * 2


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"time_zone": "Berlin"}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "Europe"}, "time_zone"),
        ({"time_zone": "a\0b"}, "time_zone"),
        ({"start": START - 401 * DAY}, "start_time"),
        ({"end": datetime.max.replace(tzinfo=UTC)}, "end_time"),
        ({"end": datetime.min.replace(tzinfo=UTC)}, "end_time"),
        ({"groups": (Group.DAY, Group.DAY)}, "group_by"),
    ],
)
async def test_a_question_that_makes_no_sense(
    store: WatchedStore, actor: Actor, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(KeyAuthorityError) as refused:
        await summarize(store, actor, **fields)

    assert refused.value.reason is Reason.FIELD_INVALID
    assert refused.value.metadata == {"field": field}


async def test_a_time_that_ends_before_it_begins(store: WatchedStore, actor: Actor) -> None:
    """It has no charges, and so no sums."""
    await charge(store, START)
    assert await summarize(store, actor, start=START + DAY, end=START) == ([], False)


async def test_a_sum_beyond_64_bits(store: WatchedStore, actor: Actor) -> None:
    """Is not told wrongly."""
    await charge(store, START, counts={"input": 2**62})
    await charge(store, START - DAY, counts={"input": 2**62})

    with pytest.raises(KeyAuthorityError) as refused:
        await summarize(store, actor)
    assert refused.value.reason is Reason.BALANCE_OUT_OF_RANGE
    sums, _ = await summarize(store, actor, groups=(Group.DAY,))
    assert len(sums) == 2
