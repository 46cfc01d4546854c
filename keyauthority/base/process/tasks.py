"""Tasks that must end, tasks that race, and tasks in the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    """The result of an attempt that came too late."""

    def terminate(self) -> None:
        """Ends the result at once."""


C = TypeVar("C", bound=Closable)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Does *work* to its end, even if the waiting task is cancelled meanwhile.

    The cancellation is raised when the work is over. A connection to a database does not survive a
    cancellation within it: its transaction would stay open, its lock held.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):  # the first one is raised below
                await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # or asyncio would log that nobody saw it
        raise


async def first_to_succeed(attempts: Sequence[Callable[[], Awaitable[C]]], head_start: float) -> C:
    """Returns the result of the first attempt that succeeds, and ends the others.

    The attempts begin in their order, each when the one before has failed, or *head_start* seconds
    after that. If all fail, raises the failure of the first.
    """
    left = list(attempts)
    tasks: list[asyncio.Task[C]] = []
    try:
        while True:
            if left:
                tasks.append(asyncio.ensure_future(left.pop(0)()))
            running = [task for task in tasks if not task.done()]
            if running:
                await asyncio.wait(
                    running,
                    timeout=head_start if left else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            for task in tasks:
                if task.done() and task.exception() is None:
                    tasks.remove(task)
                    return task.result()
            if not left and all(task.done() for task in tasks):
                return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(result, BaseException):
                result.terminate()


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Does *work* while the context lasts, and cancels it at the end."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
