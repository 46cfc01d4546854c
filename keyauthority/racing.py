"""Trying several ways to the same thing, none of which may hold up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar


class Closable(Protocol):
    """What an attempt that came too late is rid of."""

    def terminate(self) -> None:
        """Ends it at once."""


C = TypeVar("C", bound=Closable)


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
