"""How much of a workspace's credits a verifier needs, by what it took lately."""

from __future__ import annotations


class Demand:
    """What is taken of a workspace's credits, in nano-credits a period.

    `low` is what has to be free, else more is asked for ahead: what the last period took. While the
    authority had less than was wanted it is zero: then only requests that wait are asked for.

    Args:
        now: The time.
        period: Seconds over which it is counted what is taken.
        idle: Seconds after which what was not needed is given back: a lease.
    """

    __slots__ = (
        "_idle", "_idle_since", "_last", "_lowest", "_period", "_scarce_until", "_since", "_spent_since",
        "low", "taken",
    )  # fmt: skip

    def __init__(self, now: float, period: float, idle: float) -> None:
        self.low = 0
        self.taken = 0
        self._period = period
        self._idle = idle
        self._last = 0
        self._since = now
        self._scarce_until = now
        self._lowest = 0
        self._idle_since = now
        # Since when the open slice has nothing and nobody asked for more; None if it has.
        self._spent_since: float | None = None

    def note(self, amount: int, free: int) -> None:
        """Notes that *amount* was taken and *free* is left."""
        self.taken += amount
        if free < self._lowest:  # noqa: PLR1730 - a call of `min` takes as long as all else
            self._lowest = free

    def look(self, now: float) -> int:
        """Returns what the last period took."""
        elapsed = now - self._since
        if elapsed >= self._period:
            self._last = round(self.taken * self._period / elapsed)
            self._since, self.taken = now, 0
        took = max(self._last, self.taken)
        self.low = took if now >= self._scarce_until else 0
        return took

    def answered(self, wanted: int, granted: int, now: float) -> None:
        """Notes what was granted of what was wanted."""
        if granted < wanted:
            self._scarce_until = now + self._period
            self.low = 0

    def idle(self, free: int, now: float) -> int:
        """Returns how much of what is *free* was not needed since it was looked at, that long ago."""
        if now - self._idle_since < self._idle:
            return 0
        unneeded = max(min(self._lowest, free) - 2 * self.look(now), 0)
        self._idle_since, self._lowest = now, free
        return unneeded

    def is_over(self, is_spent: bool, now: float) -> bool:
        """Returns whether the open slice *is_spent* for long, since when it was first said to be."""
        if not is_spent:
            self._spent_since = None
        elif self._spent_since is None:
            self._spent_since = now
        elif now - self._spent_since >= self._idle:
            self._spent_since = None
            return True
        return False
