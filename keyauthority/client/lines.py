"""Secrets that wait in the lines of their sources, and share calls."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

Item = TypeVar("Item")

BATCH: Final = 128
"""Secrets in one call. More would make calls hardly cheaper, and others wait longer behind one."""


@dataclass(frozen=True, slots=True)
class Question:
    """A secret to ask about, and the source that presented it."""

    secret: str = field(repr=False)
    digest: bytes
    source: str
    suspect: bool


class Lines(Generic[Item]):
    """A line for each source: each is served in its order, and the sources in turn.

    A line may become as long as the room that all lines together leave. So one source alone fills
    half of the room, two fill a third each, and a newcomer finds some room.

    Args:
        capacity: Items in all lines together.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._length = 0
        self._lines: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return self._length

    def join(self, source: str, item: Item) -> bool:
        """Appends *item* to the line of *source*. Returns False if there is no room."""
        line = self._lines.get(source)
        if (len(line) if line else 0) >= self._capacity - self._length:
            return False
        if line is None:
            line = self._lines[source] = deque()
        line.append(item)
        self._length += 1
        return True

    def next(self) -> Item:
        """Removes and returns the first item of the source that was served longest ago.

        Raises `KeyError` if all lines are empty.
        """
        source, line = self._lines.popitem(last=False)
        item = line.popleft()
        self._length -= 1
        if line:
            self._lines[source] = line
        return item


class Batches:
    """Asks about the secrets that wait in lines: what waits while calls are under way goes together.

    A secret that finds a call free is asked about at once. Memory is bounded: some secrets wait, and
    as many calls as there are have up to *batch* secrets each.

    Args:
        ask: Asks about some secrets, to the end. Raises nothing.
        spawn: Runs a coroutine as a task.
        calls: Calls under way at a time.
        waiting: Secrets that wait at a time.
        batch: Secrets in one call, at most.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[Question]], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        calls: int,
        waiting: int,
        batch: int,
    ) -> None:
        self._ask = ask
        self._batch = batch
        self._spawn = spawn
        self._lines: Lines[Question] = Lines(waiting)
        self._idle = calls

    def join(self, question: Question) -> bool:
        """Takes in *question*. Returns False if there is no room."""
        if not self._lines.join(question.source, question):
            return False
        if self._idle:
            self._idle -= 1
            self._spawn(self._work())
        return True

    async def _work(self) -> None:
        try:
            while batch := self._next():
                await self._ask(batch)
        finally:
            self._idle += 1

    def _next(self) -> list[Question]:
        return [self._lines.next() for _ in range(min(self._batch, len(self._lines)))]
