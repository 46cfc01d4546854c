"""Many changes that wait at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import boottime
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import Standing, Terms
from keyauthority.replica.fence import SessionFence, pause_after
from keyauthority.replica.lateness import Lateness
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.watch import Watch
from keyauthority.storage.memory import MemoryStore
from tests.conformance.records import ManualClock

LEASE = timedelta(seconds=30)
TERMS = Terms(LEASE, LEASE, settling=False, foreign_secrets=False)


class Sessions:
    """One session, or as many as it takes, which acknowledge when the test says so."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.looks = 0
        self.gone = False
        self.number = 1

    async def until_looked_at(self, times: int) -> None:
        """Returns when the sessions have been looked at so often from now on."""
        looks = self.looks + times
        async with asyncio.timeout(5):
            while self.looks < looks:  # noqa: ASYNC110  # nobody wakes us
                await asyncio.sleep(0)

    async def standing(self) -> Standing:
        self.looks += 1
        acknowledged = self.acknowledged
        await asyncio.sleep(0)
        if self.gone:
            raise KeyAuthorityError(Reason.STORE_UNAVAILABLE, "gone")
        return Standing({(acknowledged, None): self.number}, TERMS)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


@pytest.fixture
def fence(sessions: Sessions) -> SessionFence:
    return fence_over(sessions)


def fence_over(sessions: Sessions, pause: Callable[[float], float] = pause_after) -> SessionFence:
    store = MemoryStore(ManualClock())
    metrics, watched = ReplicaMetrics(CollectorRegistry()), cast("Any", sessions)
    lateness = Lateness(watched, metrics)
    return SessionFence(watched, Watch(store), lateness, boottime, metrics, pause)


async def test_one_look_is_for_all(fence: SessionFence, sessions: Sessions) -> None:
    """However many wait for a silent verifier, the books are asked no more often."""
    waits = [asyncio.create_task(fence.wait(revision)) for revision in range(1, 101)]
    await sessions.until_looked_at(5)
    assert sessions.looks < 10

    sessions.acknowledged = 100
    receipts = await asyncio.wait_for(asyncio.gather(*waits), 5)

    assert [one.revision for one in receipts] == list(range(1, 101))
    assert {one.sessions_acknowledged for one in receipts} == {1}


async def test_each_waits_for_its_own_revision(fence: SessionFence, sessions: Sessions) -> None:
    """What is acknowledged opens the way for the older changes alone."""
    older, newer = (asyncio.create_task(fence.wait(revision)) for revision in (1, 2))
    sessions.acknowledged = 1
    fence.acknowledged(1)

    await asyncio.wait_for(older, 5)
    await sessions.until_looked_at(3)

    assert not newer.done()
    sessions.acknowledged = 2
    await asyncio.wait_for(newer, 5)


async def test_what_is_heard_of_decides_nothing(fence: SessionFence, sessions: Sessions) -> None:
    """An acknowledgement that was announced, and that the books don't have, opens no fence."""
    wait = asyncio.create_task(fence.wait(1))
    await sessions.until_looked_at(1)
    for _ in range(3):
        for _ in range(1_000):
            fence.acknowledged(1)
        await sessions.until_looked_at(1)

    assert not wait.done()
    sessions.acknowledged = 1
    await asyncio.wait_for(wait, 5)


async def test_only_what_may_be_the_last_brings_a_look_forward(
    sessions: Sessions,
) -> None:
    """A look for each of a thousand acknowledgements would be slower than all of them together."""
    fence = fence_over(sessions, pause=lambda _: 60.0)
    sessions.number = 1_000
    wait = asyncio.create_task(fence.wait(2))
    await sessions.until_looked_at(1)
    for _ in range(3):
        await asyncio.sleep(0)
    looks = sessions.looks

    for _ in range(998):
        fence.acknowledged(2)
    for _ in range(9):
        fence.acknowledged(1)
    await asyncio.sleep(0)
    assert sessions.looks == looks

    sessions.acknowledged = 2
    for _ in range(2):
        fence.acknowledged(3)
    await asyncio.wait_for(wait, 5)
    assert sessions.looks == looks + 1


async def test_an_outage_of_the_database_tells_nobody_anything(
    fence: SessionFence, sessions: Sessions
) -> None:
    """The wait goes on until it is over, or the process is to end: then it fails."""
    wait = asyncio.create_task(fence.wait(1))
    sessions.acknowledged, sessions.gone = 1, True
    await sessions.until_looked_at(3)
    assert not wait.done()

    fence.closing = True

    with pytest.raises(KeyAuthorityError) as raised:
        await asyncio.wait_for(wait, 5)
    assert raised.value.reason is Reason.STORE_UNAVAILABLE


async def test_who_gives_up_is_not_looked_after(fence: SessionFence, sessions: Sessions) -> None:
    """A wait that is cancelled leaves nothing behind."""
    wait = asyncio.create_task(fence.wait(1))
    await sessions.until_looked_at(1)
    wait.cancel()

    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  # nobody wakes us
            await asyncio.sleep(0.005)


async def test_a_lease_that_is_over_is_told_though_its_session_is_gone(
    fence: SessionFence, sessions: Sessions
) -> None:
    """Whoever is removed while a change waits for him was waited out; others weren't waited for."""
    first, second = (asyncio.create_task(fence.wait(revision)) for revision in (1, 2))
    await sessions.until_looked_at(1)
    fence.session_removed(1)
    sessions.number = 0

    receipts = await asyncio.wait_for(asyncio.gather(first, second), 5)
    assert [receipt.leases_waited_out for receipt in receipts] == [0, 1]


@pytest.mark.parametrize(
    ("look", "pause"),
    [
        pytest.param(0.0001, 0.002, id="quick"),
        pytest.param(0.002, 0.008, id="longer"),
        pytest.param(0.5, 0.01, id="slow"),
    ],
)
def test_pauses_are_as_long_as_looks_need(look: float, pause: float) -> None:
    """Within bounds."""
    assert pause_after(look) == pytest.approx(pause)
