"""Several ways to the same thing."""

from __future__ import annotations

import asyncio

import pytest

from keyauthority.base.process.tasks import first_to_succeed

NEVER = 3600.0


class Thing:
    """What is wanted, and whether it is still there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = False

    def terminate(self) -> None:
        self.ended = True


class Ways:
    """Makes ways, and remembers in which order they were tried."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.left: list[str] = []
        self.hanging = asyncio.Event()

    async def succeeds(self, name: str = "good") -> Thing:
        self.tried.append(name)
        return Thing(name)

    async def fails(self, name: str = "bad") -> Thing:
        self.tried.append(name)
        raise OSError(name)

    async def hangs(self, name: str = "hanging") -> Thing:
        self.tried.append(name)
        try:
            await self.hanging.wait()
        except asyncio.CancelledError:
            self.left.append(name)
            raise
        return Thing(name)


@pytest.fixture
def ways() -> Ways:
    return Ways()


async def test_the_first_way_that_leads_there_is_taken(ways: Ways) -> None:
    """The others are not tried."""
    thing = await first_to_succeed([ways.succeeds, ways.fails], NEVER)

    assert (thing.name, ways.tried) == ("good", ["good"])
    assert not thing.ended


async def test_after_one_that_fails_comes_the_next_at_once(ways: Ways) -> None:
    """It waits for no head start."""
    thing = await first_to_succeed([ways.fails, ways.fails, ways.succeeds], NEVER)

    assert (thing.name, ways.tried) == ("good", ["bad", "bad", "good"])


async def test_one_that_hangs_holds_up_nobody(ways: Ways) -> None:
    """It is left when another one is there first."""
    thing = await first_to_succeed([ways.hangs, ways.succeeds], 0.01)

    assert (thing.name, ways.tried, ways.left) == ("good", ["hanging", "good"], ["hanging"])


async def test_one_that_is_late_is_waited_for_if_no_other_leads_there(ways: Ways) -> None:
    """To hang for a while is no failure."""
    asyncio.get_running_loop().call_later(0.05, ways.hanging.set)

    assert (await first_to_succeed([ways.hangs, ways.fails], 0.01)).name == "hanging"


async def test_what_comes_in_the_same_moment_is_ended(ways: Ways) -> None:
    """Nobody else would."""
    made: list[Thing] = []

    async def keeps() -> Thing:
        made.append(await ways.hangs(f"number {len(ways.tried)}"))
        return made[-1]

    asyncio.get_running_loop().call_later(0.1, ways.hanging.set)
    thing = await first_to_succeed([keeps, keeps], 0.01)

    assert [one.ended for one in made if one is not thing] == [True]
    assert not thing.ended


async def test_if_all_fail_the_first_says_why(ways: Ways) -> None:
    """It is the one that was hoped for most."""
    with pytest.raises(OSError, match="first"):
        await first_to_succeed([lambda: ways.fails("first"), lambda: ways.fails("second")], NEVER)


async def test_who_gives_up_leaves_nothing_behind(ways: Ways) -> None:
    """Everything that was begun is ended."""
    task = asyncio.create_task(first_to_succeed([ways.hangs, ways.hangs], 0.01))
    async with asyncio.timeout(5):
        while len(ways.tried) < 2:  # noqa: ASYNC110  # the simplest that can be right
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

    assert len(ways.left) == 2
