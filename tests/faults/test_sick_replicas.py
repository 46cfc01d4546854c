"""Gateways that know three authorities by one name: a sick one, and a name that moves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from keyauthority.base.process import clocks
from tests.faults.faults import Fault, cut_replica, freeze_authority, kill_authority, lost
from tests.faults.history import History, Outcome
from tests.faults.installation import Installation, Node, postgres_installation
from tests.faults.network import missing

SEED = 1
FAILOVER = 1.0
"""Seconds in which gateways may have no verdict after one of three went wrong."""

MOVED = 2.0
"""Likewise after a name moved and its old address fell silent."""

WATCHED = 6.0
"""Seconds that a fault lasts here: many leases, and longer than either of these."""

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module", autouse=True)
def _network() -> None:
    if why := missing():
        pytest.skip(why)


def lacked(history: History, since: float, until: float) -> Counter[int]:
    """Questions between these times that got no verdict, by the second since the first."""
    return Counter(
        int(ask.invoked - since)
        for ask in history.asks
        if since <= ask.invoked < until and ask.outcome is Outcome.NO_VERDICT
    )


def accepted(history: History, since: float, until: float) -> int:
    return sum(
        since <= ask.invoked < until and ask.outcome is Outcome.ACCEPTED for ask in history.asks
    )


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[Installation]:
    """An installation about whose keys clients ask all the time, while new ones are made."""
    async with postgres_installation(folder) as made:
        await made.begin(SEED)
        await made.command("churn")
        await made.warm()
        yield made


async def watched(
    made: Installation, fault: AbstractAsyncContextManager[None], settled: float
) -> None:
    """Nobody lacks a verdict from *settled* seconds after the fault until its end."""
    async with fault:
        begun = clocks.boottime()
        await asyncio.sleep(WATCHED)
        ended = clocks.boottime()
    history = await made.end()
    late = lacked(history, begun + settled, ended)
    assert not late, f"no verdict, by the second from {settled:g} s after the fault: {late}"
    assert accepted(history, begun + settled, ended) > 50


@pytest.mark.parametrize("goes_wrong", [freeze_authority, kill_authority, cut_replica])
async def test_one_of_three_is_sick(tmp_path: Path, goes_wrong: Fault) -> None:
    """Its gateways ask the others, within a second."""
    async with asked(tmp_path) as made:
        await watched(made, goes_wrong(made, random.Random(SEED)), FAILOVER)


def die(made: Installation, *, silently: bool) -> AbstractAsyncContextManager[None]:
    """The first authority is dead, or out of its gateways' reach."""
    first = made.authorities[0]
    links = [(gateway.host, first.host) for gateway in made.gateways]
    return lost(links + [(to, at) for at, to in links]) if silently else dead(first)


@asynccontextmanager
async def dead(node: Node) -> AsyncIterator[None]:
    node.kill()
    yield


@asynccontextmanager
async def moved(
    made: Installation, dies: Callable[[], AbstractAsyncContextManager[None]]
) -> AsyncIterator[None]:
    # The name leads to another machine now, and the one before answers no more.
    for gateway in made.gateways:
        gateway.host.knows({"authority": [made.authorities[1].host]})
    async with dies():
        yield


@pytest.mark.parametrize("silently", [False, True])
async def test_a_name_that_moves_is_followed(tmp_path: Path, silently: bool) -> None:
    """It led to one machine, and leads to another when that one is gone."""
    async with asked(tmp_path) as made:
        for gateway in made.gateways:
            gateway.host.knows({"authority": [made.authorities[0].host]})
            gateway.kill()
            await gateway.restart()
        await made.warm()
        await watched(made, moved(made, lambda: die(made, silently=silently)), MOVED)
