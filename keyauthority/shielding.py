"""Work that may not be left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


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
