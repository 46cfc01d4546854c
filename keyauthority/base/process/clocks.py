"""The clocks of the machine: one measures leases, one tells the date."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

# The clock that goes on while the machine sleeps, if there is one. On macOS it is the monotonic clock,
# which stands still on Linux.
_BOOTTIME: Final[int | None] = (
    time.CLOCK_MONOTONIC if sys.platform == "darwin" else getattr(time, "CLOCK_BOOTTIME", None)
)
_CLOCK: Final = time.CLOCK_MONOTONIC if _BOOTTIME is None else _BOOTTIME


def boottime() -> float:
    """Returns seconds since the machine's start, sleep included if it has such a clock."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """The clock of leases: seconds, and whether it goes on while the machine sleeps."""

    now: Callable[[], float]
    counts_sleep: bool


LEASE_CLOCK: Final = LeaseClock(boottime, _BOOTTIME is not None)
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
