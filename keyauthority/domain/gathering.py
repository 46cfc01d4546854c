"""What waits together goes together: while one batch is under way, what arrives forms the next.

Nobody waits for a timer: what arrives alone goes alone, and the more arrives, the more goes at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

from keyauthority.domain.errors import KeyAuthorityError, Reason

_OUTAGES: Final = (Reason.STORE_UNAVAILABLE, Reason.LEASE_LOST)

Item = TypeVar("Item")
Result = TypeVar("Result")

Waiting: TypeAlias = tuple[Item, asyncio.Future[Result]]
Batch: TypeAlias = list[Waiting[Item, Result]]


class Gathering(Generic[Item, Result]):
    """Has what waits done in batches.

    An item larger than a batch goes alone. It waits for the batch of the others that wait, and these
    wait for one such item at most; for none where several are under way at a time.

    Args:
        work: Does the first items of a batch, as many as it has the time for but at least one: all of
            these or nothing. Returns what became of each, in their order.
        size: How large an item is.
        most: How large a batch is at most, unless it is one item.
        at_once: How many batches are under way at a time.
        beside: How many larger items are under way beside these. 0: they are among them, and leave
            one to the others where there are several.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        size: Callable[[Item], int],
        most: int,
        at_once: int,
        beside: int = 0,
    ) -> None:
        self._work = work
        self._size = size
        self._most = most
        self._most_lanes = at_once + beside
        self._small: deque[Waiting[Item, Result]] = deque()
        self._large: deque[Waiting[Item, Result]] = deque()
        self._was_small = False
        # How many more may be under way, by whether they are large.
        self._room = {False: at_once, True: beside or max(at_once - 1, 1)}
        self._lanes: set[asyncio.Task[Any]] = set()

    async def do(self, item: Item) -> Result:
        """Returns what became of *item*.

        If its batch fails, it is done again alone, so that no item fails for another. Who leaves
        before his batch begins takes his item along.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        (self._small if self._is_small(item) else self._large).append((item, future))
        if len(self._lanes) < self._most_lanes:
            lane = asyncio.create_task(self._run())
            self._lanes.add(lane)
            lane.add_done_callback(self._lanes.discard)
        return await future

    async def _run(self) -> None:
        while batch := self._next():
            is_large = not self._is_small(batch[0][0])
            self._room[is_large] -= 1
            try:
                done = await self._do(batch)
                # There was no time for the others: they are the first of the next batch.
                self._small.extendleft(reversed(batch[done:]))
                del batch[done:]
            finally:
                self._room[is_large] += 1
                # Left over only if this task was cancelled.
                for _, future in batch:
                    future.cancel()
        # In the step that found nothing waiting: what arrives in the next one gets a lane.
        if (lane := asyncio.current_task()) is not None:
            self._lanes.discard(lane)

    def _is_small(self, item: Item) -> bool:
        return self._size(item) <= self._most

    def _next(self) -> Batch[Item, Result]:
        if self._was_small:
            batch = self._next_large() or self._next_small()
        else:
            batch = self._next_small() or self._next_large()
        self._was_small = bool(batch) and self._is_small(batch[0][0])
        return batch

    def _next_large(self) -> Batch[Item, Result]:
        while self._large and self._room[True]:
            waiting = self._large.popleft()
            if not waiting[1].done():
                return [waiting]
        return []

    def _next_small(self) -> Batch[Item, Result]:
        batch: Batch[Item, Result] = []
        room = self._most
        while self._small and self._room[False]:
            item, future = self._small[0]
            if not future.done():
                room -= self._size(item)
                if room < 0:
                    break
                batch.append((item, future))
            self._small.popleft()
        return batch

    async def _do(self, batch: Sequence[Waiting[Item, Result]]) -> int:
        """Returns how many are done."""
        try:
            results = await self._work([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  # whoever waits gets it
            # An outage is nobody's own, and would only last longer if each of them tried by itself.
            if len(batch) > 1 and not is_outage(error):
                for one in batch:
                    if not one[1].done():
                        await self._do([one])
                return len(batch)
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return len(batch)
        for (_, future), result in zip(batch, results, strict=False):
            if not future.done():
                future.set_result(result)
        return len(results)


def is_outage(error: object) -> bool:
    """Returns whether *error* says that the books can't be used now, whoever tries."""
    return isinstance(error, KeyAuthorityError) and error.reason in _OUTAGES
