"""What was noted lately, and no more of it than there is room for."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Values by key; each step takes the same time, however many there are.

    Args:
        most: Keys remembered; the one noted longest ago is forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # An ordered one, since the oldest of a plain dictionary is found ever more slowly.
        self._members: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: K) -> bool:
        return key in self._members

    def get(self, key: K, default: V) -> V:
        """Returns the value noted of *key*, or *default*."""
        return self._members.get(key, default)

    def note(self, key: K, value: V) -> None:
        """Remembers *value*, and *key* as the newest."""
        self._members[key] = value
        self._members.move_to_end(key)
        if len(self._members) > self._most:
            self._members.popitem(last=False)

    def forget(self, key: K) -> None:
        """Forgets *key*, if it is remembered."""
        self._members.pop(key, None)
