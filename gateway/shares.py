"""What one key may hold of a gateway: requests under way."""

from __future__ import annotations

from typing import Final


class Shares:
    """Counts the requests of each key that are under way, from acceptance to the last byte.

    Args:
        most: Requests of one key at a time.
    """

    def __init__(self, most: int) -> None:
        self._most: Final = most
        self._running: dict[str, int] = {}

    def enter(self, key_id: str) -> bool:
        """Take in a request of a key; False if it has as many as it may."""
        running = self._running.get(key_id, 0)
        if running >= self._most:
            return False
        self._running[key_id] = running + 1
        return True

    def leave(self, key_id: str) -> None:
        """Note the end of a request that was taken in."""
        running = self._running[key_id] - 1
        if running:
            self._running[key_id] = running
        else:
            del self._running[key_id]
