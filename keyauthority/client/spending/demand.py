"""How much of a workspace's credits a verifier needs, by what it took lately."""

from __future__ import annotations

from typing import Final

PERIOD: Final = 1.0
"""Seconds over which it is counted what is taken."""

IDLE: Final = 10.0
"""Seconds after which what was not needed is given back: a lease."""


class Demand:
    """What is taken of a workspace's credits, in nano-credits a second.

    `low` is what has to be free, else more is asked for ahead: what the last second took. While the
    authority had less than was wanted it is zero: then only requests that wait are asked for.
    """

    __slots__ = ("_idle_since", "_last", "_lowest", "_scarce_until", "_since", "low", "taken")

    def __init__(self, now: float) -> None:
        self.low = 0
        self.taken = 0
        self._last = 0
        self._since = now
        self._scarce_until = now
        self._lowest = 0
        self._idle_since = now

    def note(self, amount: int, free: int) -> None:
        """Notes that *amount* was taken and *free* is left."""
        self.taken += amount
        self._lowest = min(self._lowest, free)

    def look(self, now: float) -> int:
        """Returns what the last second took."""
        elapsed = now - self._since
        if elapsed >= PERIOD:
            self._last = round(self.taken * PERIOD / elapsed)
            self._since, self.taken = now, 0
        took = max(self._last, self.taken)
        self.low = took if now >= self._scarce_until else 0
        return took

    def answered(self, wanted: int, granted: int, now: float) -> None:
        """Notes what was granted of what was wanted."""
        if granted < wanted:
            self._scarce_until = now + PERIOD
            self.low = 0

    def idle(self, free: int, now: float) -> int:
        """Returns how much of what is *free* was not needed since it was looked at, `IDLE` ago."""
        if now - self._idle_since < IDLE:
            return 0
        unneeded = max(min(self._lowest, free) - 2 * self.look(now), 0)
        self._idle_since, self._lowest = now, free
        return unneeded
