"""Answers that are read on to their usage after their clients have left."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import ClientError, StreamReader

from gateway.billing.bill import Bill

_PATIENCE: Final = 5.0
"""Seconds that a usage is waited for: it follows the end of an answer at once."""
_MOST: Final = 256
"""Answers that are read on at a time; others are charged by an estimate."""


class ReadingOn:
    """Reads answers on: who leaves between an answer and its usage would have what is hidden free."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, content: StreamReader, bill: Bill) -> None:
        """Reads *content* into *bill* until its usage is told, if it is due, and for a short time."""
        task = asyncio.current_task()
        if task is None or not bill.usage_due or len(self._running) >= _MOST:
            return
        self._running.add(task)
        try:
            async with asyncio.timeout(_PATIENCE):
                while bill.usage_due:
                    if chunk := await content.readany():
                        bill.read(chunk)
                    else:
                        bill.read_end()
                        return
        except (TimeoutError, ClientError, OSError):
            # What came by now is charged.
            return
        finally:
            self._running.discard(task)

    async def stop(self) -> None:
        """Ends all, and waits until they are charged."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
