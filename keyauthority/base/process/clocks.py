"""The clocks of the machine: one measures leases, one tells the date."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final


def _find() -> int | None:
    # The clock has to go on while the machine sleeps. On macOS the monotonic clock does; on Linux it
    # stands still.
    if sys.platform == "darwin":
        return time.CLOCK_MONOTONIC
    return getattr(time, "CLOCK_BOOTTIME", None)


CLOCK: Final = _find()
"""The number of the boot-time clock, or None on a system without one."""

FALLBACK: Final = time.CLOCK_MONOTONIC


def boottime() -> float:
    """Returns seconds since the machine's start, sleep included if it has such a clock."""
    return time.clock_gettime(FALLBACK if CLOCK is None else CLOCK)


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """The clock of leases: seconds, and whether it goes on while the machine sleeps."""

    now: Callable[[], float]
    counts_sleep: bool


LEASE_CLOCK: Final = LeaseClock(boottime, CLOCK is not None)
"""The clock of this machine."""


class SystemClock:
    """The machine's wall clock, which never goes back.

    Otherwise a clock that is set back would revive a secret that a rotation retired, or an expired
    key.
    """

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Returns the time in UTC."""
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest
