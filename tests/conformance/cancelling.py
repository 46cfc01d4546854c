"""Cancelling a task at a chosen one of its awaits."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Generator
from typing import Any


class When(enum.Enum):
    """At which side of an await the cancellation comes."""

    WAITING = "waiting"
    ANSWERED = "answered"


class CancelledAt:
    """Awaits *work* and cancels the task at its *n*-th await, counted from 1."""

    def __init__(self, work: Awaitable[None], n: int, when: When) -> None:
        self._work = work
        self._n = n
        self._when = when
        self.reached = False

    def __await__(self) -> Generator[Any, None, None]:
        steps = self._work.__await__()
        awaits = 0
        failure: BaseException | None = None
        while True:
            try:
                waited_for = steps.send(None) if failure is None else steps.throw(failure)
            except StopIteration:
                return
            awaits += 1
            if awaits == self._n:
                self._cancel(waited_for)
            try:
                yield waited_for
                failure = None
            except BaseException as error:  # noqa: BLE001  # the work decides about it
                failure = error

    def _cancel(self, waited_for: asyncio.Future[Any] | None) -> None:
        self.reached = True
        task = asyncio.current_task()
        assert task is not None
        if waited_for is None or self._when is When.WAITING:
            task.cancel()
        else:
            # The answer is there, the task about to be told: the cancellation overtakes it.
            waited_for.add_done_callback(lambda _: task.cancel())


async def at_every_await(
    work: Callable[[], Awaitable[None]], after: Callable[[], Awaitable[None]]
) -> int:
    """Does *work* again and again, cancelled at each of its awaits, and *after* after each.

    Returns how many awaits there were.
    """
    total = 0
    for when in When:
        n = 0
        reached = True
        while reached:
            n += 1
            cancelled = CancelledAt(work(), n, when)
            task = asyncio.ensure_future(_awaited(cancelled))
            await asyncio.wait({task})
            reached = cancelled.reached
            assert task.cancelled() or not reached or task.exception() is None
            await after()
        total += n - 1
    return total


async def _awaited(work: Awaitable[None]) -> None:
    await work
