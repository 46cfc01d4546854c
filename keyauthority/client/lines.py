"""Lines of those who wait, one for each source."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Waiting = TypeVar("Waiting")


class Lines(Generic[Waiting]):
    """Serves each source's line in its order, and the sources one after the other.

    A line may become as long as there is room left in all of them together. So one source alone
    has half of the room, two have a third each, and a newcomer finds some while others fill it.

    Args:
        most: How many wait at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._length = 0
        self._lines: OrderedDict[str, deque[Waiting]] = OrderedDict()

    def __len__(self) -> int:
        return self._length

    def join(self, source: str, one: Waiting) -> bool:
        """Takes *one* into the line of *source*; False if there is no room for it."""
        line = self._lines.get(source)
        if (len(line) if line else 0) >= self._most - self._length:
            return False
        if line is None:
            line = self._lines[source] = deque()
        line.append(one)
        self._length += 1
        return True

    def next(self) -> Waiting:
        """Takes out who is next: the first of the source that was served longest ago.

        Raises `KeyError` if nobody waits.
        """
        source, line = self._lines.popitem(last=False)
        one = line.popleft()
        self._length -= 1
        if line:
            self._lines[source] = line
        return one
