"""The fence: what a change waits for before its caller gets an answer."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from keyauthority.coherence.allowances import LATE
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import Counts

LOOK: Final = 0.05
"""Seconds that one look counts for at most: between rare looks the authority itself is slow."""


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

    def look(self, counts: Counts, now: float) -> bool:
        """Returns whether the change is in force everywhere, by the *counts* of sessions.

        The counts were read after the commit, *now* after the counts. Sessions that are behind were
        waited out then.
        """
        if counts.behind == self._behind:
            self._quiet += min(now - self._looked, LOOK)
        self._behind, self._looked = counts.behind, now
        waits = counts.behind or counts.settling
        return now >= (self.over(counts.longest_lease) if waits else self._settled)

    def over(self, longest_lease: timedelta) -> float:
        """Returns when every lease of *longest_lease* or less that was in force at the commit is over."""
        return max(self._committed + wait_out(longest_lease), self._settled)

    @property
    def late(self) -> bool:
        """Whether the sessions that are behind are late: no acknowledgement has come for `LATE`.

        While acknowledgements come, or looks are slow, the authority is what is slow.
        """
        return self._behind > 0 and self._quiet >= LATE
