"""What a change waits for before its caller is told that it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from keyauthority.coherence.leases import wait_out


@dataclass(frozen=True, slots=True)
class Passed:
    """How a fence was passed: sessions that acknowledged, and leases that were waited out."""

    acknowledged: int
    waited_out: int


class Fence:
    """The wait of one change.

    *committed* is the time at which the commit had returned; *settled* the time until which leases
    may be in force that the books know nothing of (after a crash, where sessions were in memory).
    Both by the clock of whoever waits.
    """

    def __init__(self, committed: float, settled: float = -math.inf) -> None:
        self._committed = committed
        self._settled = settled
        self._longest = timedelta()

    def look(
        self,
        acknowledged: int,
        behind: int,
        longest_lease: timedelta,
        now: float,
        *,
        settling: bool = False,
    ) -> Passed | None:
        """Whether the change is in force everywhere, by how many sessions have acknowledged it.

        The counts were read after the commit, *now* is read after the counts. *settling* says that
        after a restore from backup the books may not know all leases.
        """
        self._longest = max(self._longest, longest_lease)
        if behind == 0 and not settling and now >= self._settled:
            return Passed(acknowledged, 0)
        if now >= self.over():
            return Passed(acknowledged, behind)
        return None

    def over(self) -> float:
        """When every lease that was in force at the commit is over."""
        return max(self._committed + wait_out(self._longest), self._settled)
