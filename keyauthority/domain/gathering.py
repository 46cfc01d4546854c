"""What waits together goes together: while one batch is under way, what arrives forms the next.

Nobody waits for a timer: what arrives alone goes alone, and the more arrives, the more goes at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from keyauthority.domain.errors import KeyAuthorityError, Reason

_OUTAGES: Final = (Reason.STORE_UNAVAILABLE, Reason.LEASE_LOST)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathering(Generic[Item, Result]):
    """Has what waits done in batches.

    Args:
        work: Does a batch, all of it or nothing; returns what became of each item, in their order.
        size: How large an item is.
        most: How large a batch is at most, unless it is one item.
        at_once: How many batches are under way at a time.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        size: Callable[[Item], int],
        most: int,
        at_once: int,
    ) -> None:
        self._work = work
        self._size = size
        self._most = most
        self._at_once = at_once
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._lanes: set[asyncio.Task[Any]] = set()

    async def do(self, item: Item) -> Result:
        """Returns what became of *item*.

        If its batch fails, it is done again alone, so that no item fails for another. Who leaves
        before his batch begins takes his item along.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._lanes) < self._at_once:
            lane = asyncio.create_task(self._run())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await future

    async def _run(self) -> None:
        while batch := self._batch():
            try:
                await self._do(batch)
            finally:
                # Left over only if this task was cancelled.
                for _, future in batch:
                    future.cancel()
        # In the step that found nothing waiting: what arrives in the next one gets a lane.
        if (lane := asyncio.current_task()) is not None:
            self._lanes.discard(lane)

    def _batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        room = self._most
        while self._waiting:
            item, future = self._waiting[0]
            if not future.done():
                room -= self._size(item)
                if batch and room < 0:
                    break
                batch.append((item, future))
            self._waiting.popleft()
        return batch

    async def _do(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # whoever waits gets it
            if len(batch) > 1 and not _is_outage(error):
                for one in batch:
                    await self._do([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _is_outage(error: Exception) -> bool:
    # It is none of an item's, and would only last longer if each of them tried by itself.
    return isinstance(error, KeyAuthorityError) and error.reason in _OUTAGES
