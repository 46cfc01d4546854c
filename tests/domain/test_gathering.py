"""Batches form by themselves, bounded, and nobody fails for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.gathering import Gathering


class Work:
    """Notes its batches, each of which waits until the door is open; doubles numbers, but not 13."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.batches: list[list[int]] = []
        self.door = asyncio.Event()
        self.under_way = 0
        self.most_under_way = 0
        self._failure = failure or ValueError("13")

    async def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.door.wait()
        finally:
            self.under_way -= 1
        if 13 in numbers:
            raise self._failure
        return [2 * number for number in numbers]


def gathering(
    work: Work, *, most: int = 100, at_once: int = 1, beside: int = 0
) -> Gathering[int, int]:
    return Gathering(work, size=lambda number: number, most=most, at_once=at_once, beside=beside)


async def begun(gathered: Gathering[int, int], *numbers: int) -> list[asyncio.Task[int]]:
    """Tasks that wait by now."""
    tasks = [asyncio.create_task(gathered.do(number)) for number in numbers]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_what_arrives_while_one_is_under_way_goes_next() -> None:
    """The first goes alone, at once; nobody waits for more to come."""
    work = Work()
    gathered = gathering(work)
    tasks = await begun(gathered, 1)
    for number in (2, 3, 4):
        tasks += await begun(gathered, number)
    assert work.batches == [[1]]
    work.door.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert work.batches == [[1], [2, 3, 4]]
    assert await gathered.do(5) == 10


async def test_batches_are_bounded() -> None:
    """By the sizes of what is in them."""
    work = Work()
    gathered = gathering(work, most=10)
    tasks = await begun(gathered, 1)
    tasks += await begun(gathered, 6, 4, 5, 3)
    work.door.set()
    assert await asyncio.gather(*tasks) == [2, 12, 8, 10, 6]
    assert work.batches == [[1], [6, 4], [5, 3]]


async def test_nobody_waits_for_two_large_ones() -> None:
    """What is larger than a batch goes alone, in turn with batches of the others."""
    work = Work()
    gathered = gathering(work, most=10)
    tasks = await begun(gathered, 20)
    tasks += await begun(gathered, 21, 22, 1, 6, 4)
    work.door.set()
    assert await asyncio.gather(*tasks) == [40, 42, 44, 2, 12, 8]
    assert work.batches == [[20], [1, 6], [21], [4], [22]]


async def test_large_ones_leave_a_lane_to_the_others() -> None:
    """However many there are, and however long each takes."""
    work = Work()
    gathered = gathering(work, most=10, at_once=2)
    tasks = await begun(gathered, 20, 21, 22)
    assert work.batches == [[20]]
    tasks += await begun(gathered, 1)
    assert work.batches == [[20], [1]]
    work.door.set()
    assert await asyncio.gather(*tasks) == [40, 42, 44, 2]
    assert work.under_way == 0


async def test_large_ones_go_beside_one_batch() -> None:
    """As many as may; and what is small waits for the batch, not for them."""
    work = Work()
    gathered = gathering(work, most=10, beside=2)
    tasks = await begun(gathered, 20, 1)
    tasks += await begun(gathered, 2, 21, 22, 3)
    assert work.batches == [[1], [20], [21]]
    work.door.set()
    assert await asyncio.gather(*tasks) == [40, 2, 4, 42, 44, 6]
    assert work.batches[3:] in ([[2, 3], [22]], [[22], [2, 3]])
    assert work.under_way == 0


async def test_what_there_was_no_time_for_goes_first_in_the_next() -> None:
    """Before what arrived later."""
    work = Work()

    async def two(numbers: Sequence[int]) -> list[int]:
        return (await work(numbers))[:2]

    gathered: Gathering[int, int] = Gathering(two, size=lambda _: 1, most=9, at_once=1)
    tasks = await begun(gathered, 1, 2, 3, 4, 5)
    tasks += await begun(gathered, 6)
    work.door.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10, 12]
    assert work.batches == [[1, 2, 3, 4, 5], [3, 4, 5, 6], [5, 6]]


async def test_so_many_are_under_way() -> None:
    work = Work()
    gathered = gathering(work, most=1, at_once=2)
    tasks = await begun(gathered, 1, 1, 1, 1, 1)
    assert work.under_way == 2
    work.door.set()
    await asyncio.gather(*tasks)
    assert work.most_under_way == 2
    assert len(work.batches) == 5


async def test_nobody_fails_for_another() -> None:
    """A batch that fails is done again, each by itself."""
    work = Work()
    gathered = gathering(work)
    tasks = await begun(gathered, 1)
    tasks += await begun(gathered, 2, 13, 3)
    work.door.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(one) for one in results] == ["2", "4", "13", "6"]
    assert work.batches == [[1], [2, 13, 3], [2], [13], [3]]


@pytest.mark.parametrize("reason", [Reason.STORE_UNAVAILABLE, Reason.LEASE_LOST])
async def test_an_outage_is_everybodys(reason: Reason) -> None:
    """One look at a store that is away is enough."""
    outage = KeyAuthorityError(reason, "away")
    work = Work(outage)
    gathered = gathering(work)
    tasks = await begun(gathered, 1)
    tasks += await begun(gathered, 2, 13)
    work.door.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results == [2, outage, outage]
    assert work.batches == [[1], [2, 13]]


async def test_who_leaves_before_it_begins_takes_his_along() -> None:
    """Later he leaves it behind, and the others get theirs."""
    work = Work()
    gathered = gathering(work)
    first, *others = [*await begun(gathered, 1), *await begun(gathered, 2, 3)]
    first.cancel()
    others[0].cancel()
    work.door.set()
    assert await others[1] == 6
    assert work.batches == [[1], [3]]
    for one in (first, others[0]):
        with pytest.raises(asyncio.CancelledError):
            await one


async def test_nobody_waits_for_a_lane_that_was_cancelled() -> None:
    """As at the end of a loop."""
    work = Work()
    gathered = gathering(work)
    [waiting] = await begun(gathered, 1)
    [lane] = gathered._lanes
    lane.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait([lane])
    assert lane.cancelled()


@pytest.mark.parametrize("steps", range(6))
async def test_whenever_it_arrives_it_is_done(steps: int) -> None:
    """So many steps after the batches before it were let go."""
    work = Work()
    gathered = gathering(work, at_once=2, most=1)
    tasks = await begun(gathered, 1, 1)
    work.door.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await gathered.do(3) == 6
        assert await asyncio.gather(*tasks) == [2, 2]
