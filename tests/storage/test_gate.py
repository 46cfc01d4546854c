"""Who waits for whom at the one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyauthority.storage.sqlite.gate import Gate

Enter = Callable[[], AbstractAsyncContextManager[None]]


class Guest:
    """Goes in when let in, and out when told to."""

    def __init__(self, enter: Enter) -> None:
        self.inside = False
        self._leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(enter))

    async def _visit(self, enter: Enter) -> None:
        async with enter():
            self.inside = True
            try:
                await self._leave.wait()
            finally:
                self.inside = False

    async def leave(self) -> None:
        self._leave.set()
        await self.task
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def guests(*enters: Enter) -> list[Guest]:
    made = []
    for enter in enters:
        made.append(Guest(enter))
        await settled()
    return made


async def test_many_are_inside_together() -> None:
    """Reads run beside each other."""
    gate = Gate()

    one, two = await guests(gate.together, gate.together)

    assert (one.inside, two.inside) == (True, True)
    await one.leave()
    await two.leave()


async def test_one_alone_waits_for_all_and_keeps_others_out() -> None:
    """A transaction runs while nothing else does."""
    gate = Gate()
    reader, writer, late = await guests(gate.together, gate.alone, gate.together)
    assert (reader.inside, writer.inside, late.inside) == (True, False, False)

    await reader.leave()
    assert (writer.inside, late.inside) == (True, False)
    await writer.leave()

    assert late.inside
    await late.leave()


async def test_who_reads_waits_for_one_writer_only() -> None:
    """However many stand in line: else each verdict would wait for all changes before it."""
    gate = Gate()
    first, second, reader = await guests(gate.alone, gate.alone, gate.together)

    await first.leave()
    assert (reader.inside, second.inside) == (True, False)
    await reader.leave()

    assert second.inside
    await second.leave()


async def test_who_writes_is_not_kept_waiting_by_those_who_come_after() -> None:
    """A stream of reads lets a change through."""
    gate = Gate()
    first, writer, second = await guests(gate.together, gate.alone, gate.together)

    await first.leave()

    assert (writer.inside, second.inside) == (True, False)
    await writer.leave()
    await second.leave()


@pytest.mark.parametrize("kind", ["alone", "together"])
async def test_who_is_cancelled_in_the_line_keeps_nobody_out(kind: str) -> None:
    """A caller that leaves before its turn is as if it had never come."""
    gate = Gate()
    writer, gone, last = await guests(gate.alone, getattr(gate, kind), gate.alone)
    gone.task.cancel()
    await settled()

    await writer.leave()

    assert last.inside
    await last.leave()


@pytest.mark.parametrize("kind", ["alone", "together"])
async def test_who_is_cancelled_just_when_let_in_goes_out_again(kind: str) -> None:
    """The turn is passed on."""
    gate = Gate()
    writer = gate.alone()
    await writer.__aenter__()
    gone, last = await guests(getattr(gate, kind), gate.alone)

    # In one go: it is let in, and its task doesn't know of it yet.
    await writer.__aexit__(None, None, None)
    gone.task.cancel()
    await settled()

    assert last.inside
    await last.leave()


@pytest.mark.parametrize("kind", ["alone", "together"])
async def test_who_is_cancelled_in_the_moment_of_a_leaving_is_passed_over(kind: str) -> None:
    """Its task doesn't know yet, but its turn is no turn any more."""
    gate = Gate()
    writer = gate.alone()
    await writer.__aenter__()
    gone, last = await guests(getattr(gate, kind), gate.alone)

    # In one go: nothing is awaited between the two, so the task doesn't know of the first yet.
    gone.task.cancel()
    await writer.__aexit__(None, None, None)
    await settled()

    assert last.inside
    await last.leave()
    (reader,) = await guests(gate.together)
    assert reader.inside
    await reader.leave()


@given(st.lists(st.tuples(st.sampled_from(["alone", "together"]), st.integers(0, 3)), max_size=30))
@settings(max_examples=100, deadline=None)
def test_nobody_is_forgotten(plan: list[tuple[str, int]]) -> None:
    """Whoever comes, in whatever order, gets in; one alone is alone; some give up."""

    async def visit(gate: Gate, kind: str, steps: int, inside: list[str]) -> None:
        async with getattr(gate, kind)():
            inside.append(kind)
            try:
                assert "alone" not in inside or len(inside) == 1
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                inside.remove(kind)

    async def all_of_them() -> None:
        gate, inside = Gate(), list[str]()
        tasks: list[Awaitable[None]] = []
        for number, (kind, steps) in enumerate(plan):
            task = asyncio.create_task(visit(gate, kind, steps, inside))
            if steps == 3 and number % 3 == 0:
                asyncio.get_running_loop().call_soon(task.cancel)
            tasks.append(task)
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert not any(isinstance(one, AssertionError) for one in done)
        async with gate.alone():
            assert inside == []

    asyncio.run(all_of_them())
