"""The fence: what a change waits for before its caller gets an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from keyauthority.coherence.allowances import LATE
from keyauthority.coherence.leases import wait_out

LOOK: Final = 0.05
"""Seconds that one look counts for at most: between rare looks the authority itself is slow."""


@dataclass(frozen=True, slots=True)
class Passed:
    """How a fence was passed: sessions that acknowledged, and leases that were waited out."""

    acknowledged: int
    waited_out: int


class Fence:
    """The wait of one change.

    *committed* is a time after the commit returned. Until *settled*, leases may be in force that the
    books know nothing of (after a crash, where sessions were in memory). Both times are by one clock.
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
        """Returns how the fence was passed, None while the change may not be in force everywhere.

        *acknowledged* sessions have applied the change; *behind* have not and may hold a lease, of
        *longest_lease* at most. While a restore is *settling*, the books may not know all leases, and
        *longest_lease* is the longest of any. The counts were read after the commit, *now* after them.
        """
        if behind == self._behind:
            self._quiet += min(now - self._looked, LOOK)
        self._behind, self._looked = behind, now
        over = self.over(longest_lease) if behind or settling else self._settled
        return Passed(acknowledged, behind) if now >= over else None

    def over(self, longest_lease: timedelta) -> float:
        """Returns when every lease of *longest_lease* or less that was in force at the commit is over."""
        return max(self._committed + wait_out(longest_lease), self._settled)

    @property
    def late(self) -> bool:
        """Whether the sessions that are behind are late: no acknowledgement has come for `LATE`.

        While acknowledgements come, or looks are slow, the authority is what is slow.
        """
        return self._behind > 0 and self._quiet >= LATE
