"""The order in which reads and transactions use the one connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Turn = asyncio.Future[None]


class Gate:
    """Admits one task alone or many together, the two kinds in turn (phase-fair).

    A task that shares waits for one task that is alone, however many of those are in the queue. A
    task that wants to be alone waits for the tasks inside, and for those queued before it.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._is_alone = False
        self._sharing: deque[Turn] = deque()
        self._exclusive: deque[Turn] = deque()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Enters beside other tasks that share."""
        if self._is_alone or self._exclusive:
            await _turn(self._sharing, self._leave_together)
        else:
            self._inside += 1
        try:
            yield
        finally:
            self._leave_together()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Waits until nobody is inside, and keeps everybody else out."""
        if self._is_alone or self._inside:
            await _turn(self._exclusive, self._leave_alone)
        else:
            self._is_alone = True
        try:
            yield
        finally:
            self._leave_alone()

    def _leave_together(self) -> None:
        self._inside -= 1
        if self._inside == 0 and not self._admit_exclusive():
            self._admit_sharing()

    def _leave_alone(self) -> None:
        self._is_alone = False
        if not self._admit_sharing():
            self._admit_exclusive()

    def _admit_sharing(self) -> bool:
        admitted = [turn for turn in self._sharing if _admit(turn)]
        self._inside += len(admitted)
        self._sharing.clear()
        return bool(admitted)

    def _admit_exclusive(self) -> bool:
        while self._exclusive:
            if _admit(self._exclusive.popleft()):
                self._is_alone = True
                return True
        return False


def _admit(turn: Turn) -> bool:
    # A task that was just cancelled may still be in the queue.
    if turn.done():
        return False
    turn.set_result(None)
    return True


async def _turn(queue: deque[Turn], leave: Callable[[], None]) -> None:
    """Waits in *queue* to be admitted; a cancelled task leaves the queue, or calls *leave*."""
    turn: Turn = asyncio.get_running_loop().create_future()
    queue.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if not turn.cancelled():
            leave()
        elif turn in queue:
            queue.remove(turn)
        raise
