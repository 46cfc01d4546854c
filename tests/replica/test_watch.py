"""Waiting for changes, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from keyauthority.domain.sessions import Head
from keyauthority.replica.watch import SLOT, Watch
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import ManualClock

HEAD = Head(1, 5)


@pytest.fixture
def watch() -> Watch:
    watch = Watch(MemoryStore(ManualClock()))
    watch.hint(HEAD)
    return watch


def waits(watch: Watch, head: Head, seconds: Sequence[float]) -> list[asyncio.Task[bool]]:
    return [asyncio.create_task(watch.past(head, each)) for each in seconds]


async def done(tasks: Sequence[asyncio.Task[bool]]) -> list[bool]:
    async with asyncio.timeout(5):
        return list(await asyncio.gather(*tasks))


async def test_a_change_wakes_all_that_wait_for_one(watch: Watch) -> None:
    """Whoever knows of it already goes on waiting, until its own time."""
    behind, ahead = waits(watch, HEAD, [60.0] * 100), waits(watch, Head(1, 6), [60.0] * 2)
    await asyncio.sleep(0)

    watch.advanced(6)

    assert await done(behind) == [True] * 100
    assert not any(task.done() for task in ahead)
    watch.hint(Head(2, 1))
    assert await done(ahead) == [True, True]


async def test_a_wait_ends_at_its_time(watch: Watch) -> None:
    """Not later, and earlier by less than half of it."""
    loop = asyncio.get_running_loop()
    for seconds in (0.0, 0.005, 0.3):
        start = loop.time()
        assert not await watch.past(HEAD, seconds)
        assert loop.time() - start >= max(seconds - SLOT, seconds / 2) - 0.002


async def test_waits_that_end_at_about_the_same_time_end_together(watch: Watch) -> None:
    """One timer is for all of them."""
    tasks = waits(watch, HEAD, [0.3 + n / 1e6 for n in range(100)])
    await asyncio.sleep(0)

    assert len(watch._waits) <= 2
    assert await done(tasks) == [False] * 100
    assert not watch._waits


async def test_who_gives_up_takes_nobody_along(watch: Watch) -> None:
    """One wait is cancelled, the other of the same slot goes on."""
    one, other = waits(watch, HEAD, [60.0, 60.0])
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0)

    assert not other.done()
    watch.advanced(6)
    assert await other


async def test_at_a_stop_nobody_waits(watch: Watch) -> None:
    """Neither who did nor who comes later."""
    tasks = waits(watch, HEAD, [60.0] * 3)
    await asyncio.sleep(0)

    watch.close()

    assert await done(tasks) == [False] * 3
    assert not await watch.past(HEAD, 60.0)
