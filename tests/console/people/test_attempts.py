"""How often something may be tried."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from console.people import Limit, People
from keyauthority.base.relational.location import Location
from tests.console.people.parts import ManualClock, sql

NOW = timedelta(0)
LIMIT = Limit("ada@example.com", 3, timedelta(minutes=15))


async def test_a_limit(people: People, other: People, clock: ManualClock) -> None:
    """So many at once, in whatever process, then one each time its share of the time is over."""
    for books in (people, other, people):
        assert await books.attempts.wait([LIMIT]) == NOW
        assert await books.attempts.count([LIMIT]) == NOW

    for books in (people, other):
        assert await books.attempts.wait([LIMIT]) == timedelta(minutes=5)
        assert await books.attempts.count([LIMIT]) == timedelta(minutes=5)
    clock.pass_by(minutes=4)
    assert await people.attempts.wait([LIMIT]) == timedelta(minutes=1)
    clock.pass_by(minutes=1)
    assert await people.attempts.count([LIMIT]) == NOW
    assert await people.attempts.count([LIMIT]) == timedelta(minutes=5)


async def test_all_come_back(people: People, clock: ManualClock) -> None:
    """After the whole time there are as many as at first, and never more."""
    for _ in range(3):
        await people.attempts.count([LIMIT])
    clock.pass_by(days=30)

    results = [await people.attempts.count([LIMIT]) for _ in range(4)]

    assert results == [NOW, NOW, NOW, timedelta(minutes=5)]


async def test_what_is_refused_is_not_counted(people: People, clock: ManualClock) -> None:
    """Who keeps trying waits no longer than who doesn't; of the other limits nothing is taken."""
    other = Limit("192.0.2.1", 4, timedelta(minutes=4))
    for _ in range(10):
        await people.attempts.count([LIMIT, other])

    assert await people.attempts.count([LIMIT]) == timedelta(minutes=5)
    assert await people.attempts.count([other]) == NOW
    assert await people.attempts.count([other]) == timedelta(minutes=1)


async def test_what_is_refused_leaves_nothing(people: People, location: Location) -> None:
    """However many addresses somebody tries who is refused, the table doesn't grow."""
    for _ in range(3):
        await people.attempts.count([LIMIT])

    for number in range(5):
        assert await people.attempts.count([LIMIT, Limit(str(number), 1, LIMIT.per)]) > NOW

    assert await sql(location, "SELECT count(*) FROM attempts") == [(1,)]


async def test_the_longest_wait_counts(people: People) -> None:
    """Of several limits, all have to allow it."""
    limits = [Limit("a", 1, timedelta(hours=1)), Limit("b", 1, timedelta(hours=2))]
    await people.attempts.count(limits)

    assert await people.attempts.wait(limits) == timedelta(hours=2)
    assert await people.attempts.wait(limits[:1]) == timedelta(hours=1)
    assert await people.attempts.wait([LIMIT]) == NOW
    assert await people.attempts.wait([]) == NOW


async def test_forgetting(people: People) -> None:
    """Who got it right in the end has all attempts back; others don't."""
    other = Limit("192.0.2.1", 1, timedelta(hours=1))
    await people.attempts.count([LIMIT, other])

    await people.attempts.forget([LIMIT])

    assert [await people.attempts.count([LIMIT]) for _ in range(3)] == [NOW] * 3
    assert await people.attempts.wait([other]) == timedelta(hours=1)


async def test_counting_is_atomic(people: People, other: People) -> None:
    """Of many who try at once, in two processes, as many are let through as may."""
    limits = [LIMIT, Limit("192.0.2.1", 100, timedelta(hours=1))]

    waits = await asyncio.gather(
        *(
            books.attempts.count(limits if n % 2 else limits[::-1])
            for n, books in enumerate([people, other] * 10)
        )
    )

    assert sum(wait == NOW for wait in waits) == 3


async def test_addresses_are_not_kept(people: People, location: Location) -> None:
    """What is counted is kept as a digest: whoever reads the table sees no address."""
    await people.attempts.count([LIMIT])

    [(digest,)] = await sql(location, "SELECT digest FROM attempts")

    assert len(digest) == 32
    assert b"ada" not in digest


async def test_one_is_given_back(people: People, other: People) -> None:
    """What turned out to be no failure is taken back, and nothing that others tried."""
    for books in (people, other, people):
        await books.attempts.count([LIMIT])
    await people.attempts.give_back([LIMIT])
    assert await other.attempts.count([LIMIT]) == NOW
    assert await other.attempts.count([LIMIT]) > NOW


async def test_no_more_is_given_back_than_was_taken(people: People) -> None:
    """Giving back makes nobody's limit larger."""
    await people.attempts.give_back([LIMIT])
    results = [await people.attempts.count([LIMIT]) for _ in range(4)]
    assert results == [NOW, NOW, NOW, timedelta(minutes=5)]
