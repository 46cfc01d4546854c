"""Answers that wait in memory for clients that do not read them, and the bound on all of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

Abort = Callable[[], None]


class Unread:
    """The bytes that wait for clients, by whose they are.

    Nobody may have more waiting than is left of the bound: alone half of it, beside another a
    third, and so on. Where one more answer is too much, the owner's answers that have stood unread
    for longest are given up. What the gateway says to strangers has one owner together.

    Args:
        most: Bytes that wait at a time.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._total = 0
        self._owners: dict[str, _Answers] = {}

    @property
    def total(self) -> int:
        """The bytes that wait."""
        return self._total

    def wait(self, owner: str, abort: Abort, size: int) -> None:
        """Note that *size* bytes of *owner* wait; *abort* may be called to give them up, now or later.

        Each *abort* has one answer that waits: it is another function each time.
        """
        answers = self._owners.setdefault(owner, _Answers())
        answers.add(abort, size)
        self._total += size
        while answers.size > self._most - self._total:
            oldest = next(iter(answers.by_abort))
            self.end(owner, oldest)
            oldest()

    def end(self, owner: str, abort: Abort) -> None:
        """Note that the bytes wait no more; nothing happens if that is known."""
        answers = self._owners.get(owner)
        if answers is None:
            return
        self._total -= answers.take(abort)
        if not answers.by_abort:
            del self._owners[owner]


class _Answers:
    # Those of one owner, the longest unread first.

    def __init__(self) -> None:
        self.size = 0
        self.by_abort: OrderedDict[Abort, int] = OrderedDict()

    def add(self, abort: Abort, size: int) -> None:
        self.by_abort[abort] = size
        self.size += size

    def take(self, abort: Abort) -> int:
        size = self.by_abort.pop(abort, 0)
        self.size -= size
        return size
