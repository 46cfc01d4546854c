"""What a change waits for before its caller is told that it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyauthority.coherence.allowances import LATE
from keyauthority.coherence.leases import wait_out

LOOK: Final = 0.05
"""Seconds that one look counts for at most: who looks seldom is slow itself."""


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
        self._behind = -1
        self._looked = committed
        self._quiet = 0.0

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

        *behind* may hold a lease and have not, *longest_lease* is the longest that these may hold.
        The counts were read after the commit, *now* is read after the counts. *settling* says that
        after a restore from backup the books may not know all leases: then it is the longest of any.
        """
        if behind == self._behind:
            self._quiet += min(now - self._looked, LOOK)
        self._behind, self._looked = behind, now
        over = self.over(longest_lease) if behind or settling else self._settled
        return Passed(acknowledged, behind) if now >= over else None

    def over(self, longest_lease: timedelta) -> float:
        """When every lease of *longest_lease* or less that was in force at the commit is over."""
        return max(self._committed + wait_out(longest_lease), self._settled)

    @property
    def late(self) -> bool:
        """Whether those that are behind are late: all else has been quiet for `LATE`.

        While acknowledgements come, or looks are slow, it is the authority that is.
        """
        return self._behind > 0 and self._quiet >= LATE
