"""Answers that are read on to their usage after their clients have left."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import ClientError, StreamReader

from gateway.billing.bill import Bill


class ReadingOn:
    """Reads answers on: who leaves between an answer and its usage would have what is hidden free.

    Args:
        most: How many are read on at a time; others are charged by an estimate.
        seconds: How long a usage is waited for.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._running: set[asyncio.Task[Any]] = set()

    async def read(self, content: StreamReader, bill: Bill) -> None:
        """Reads *content* into *bill* until its usage is told, if it is due, and for a short time."""
        task = asyncio.current_task()
        if task is None or not bill.usage_due or len(self._running) >= self._most:
            return
        self._running.add(task)
        try:
            async with asyncio.timeout(self._seconds):
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
