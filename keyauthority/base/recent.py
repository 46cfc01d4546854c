"""A bounded memory of recent values."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The newest *most* values by key; each step takes the same time, however many there are."""

    def __init__(self, most: int) -> None:
        self._most = most
        # Finding the oldest key of a plain dictionary takes longer and longer.
        self._members: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: K) -> bool:
        return key in self._members

    def get(self, key: K, default: V) -> V:
        """Returns the value of *key*, or *default*."""
        return self._members.get(key, default)

    def note(self, key: K, value: V) -> None:
        """Remembers *value*, with *key* as the newest; forgets the oldest key beyond *most*."""
        self._members[key] = value
        self._members.move_to_end(key)
        if len(self._members) > self._most:
            self._members.popitem(last=False)

    def forget(self, key: K) -> None:
        """Forgets *key*, if there is a value."""
        self._members.pop(key, None)
