"""Who may use the one connection when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Turn = asyncio.Future[None]


class Gate:
    """Lets in either one alone or many together, each kind after the other (phase-fair).

    Who comes to stay with others waits for one who is alone, however many of these stand in line;
    who comes to be alone waits for the others inside, and for those before.
    """

    def __init__(self) -> None:
        self._inside = 0
        self._is_alone = False
        self._many: deque[Turn] = deque()
        self._single: deque[Turn] = deque()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Stays inside with others who came for the same."""
        if self._is_alone or self._single:
            await _turn(self._many, self._leave_together)
        else:
            self._inside += 1
        try:
            yield
        finally:
            self._leave_together()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Waits until nobody is inside and keeps the entrance shut."""
        if self._is_alone or self._inside:
            await _turn(self._single, self._leave_alone)
        else:
            self._is_alone = True
        try:
            yield
        finally:
            self._leave_alone()

    def _leave_together(self) -> None:
        self._inside -= 1
        if self._inside == 0 and not self._admit_one():
            self._admit_many()

    def _leave_alone(self) -> None:
        self._is_alone = False
        if not self._admit_many():
            self._admit_one()

    def _admit_many(self) -> bool:
        admitted = [turn for turn in self._many if _let_in(turn)]
        self._inside += len(admitted)
        self._many.clear()
        return bool(admitted)

    def _admit_one(self) -> bool:
        while self._single:
            if _let_in(self._single.popleft()):
                self._is_alone = True
                return True
        return False


def _let_in(turn: Turn) -> bool:
    # Not whoever was cancelled a moment ago and doesn't know it yet.
    if turn.done():
        return False
    turn.set_result(None)
    return True


async def _turn(line: deque[Turn], leave: Callable[[], None]) -> None:
    """Stands in *line* until let in; whoever is cancelled leaves it, or *leave*s again if let in."""
    turn: Turn = asyncio.get_running_loop().create_future()
    line.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if not turn.cancelled():
            leave()
        elif turn in line:
            line.remove(turn)
        raise
