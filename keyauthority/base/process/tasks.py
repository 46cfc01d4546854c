"""Tasks: one that may not be left half done, several that race, one that runs beside its context."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Closable(Protocol):
    """What an attempt that came too late is rid of."""

    def terminate(self) -> None:
        """Ends it at once."""


C = TypeVar("C", bound=Closable)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Does *work* to its end, even if the task that waits for it is cancelled meanwhile.

    The cancellation is raised when the work is over. A connection to a database doesn't survive a
    cancellation that passes through it: its transaction would stay open, its lock held.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _settled(task)
        raise


async def _settled(task: asyncio.Task[Any]) -> None:
    """Waits until *task* is done, through any further cancellation; its outcome is dropped."""
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:  # the caller raises the first one
            continue
    if not task.cancelled():
        task.exception()


async def first_to_succeed(attempts: Sequence[Callable[[], Awaitable[C]]], head_start: float) -> C:
    """What the first attempt gives that succeeds; the others are ended.

    They begin in their order, each when the one before has failed, or *head_start* seconds after it.
    If all fail, raises what the first of them did.
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
        for one in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(one, BaseException):
                one.terminate()


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
