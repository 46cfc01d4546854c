"""The clocks of the machine: one that leases are measured by, and one that tells the date."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final


def _find() -> int | None:
    # It has to go on while the machine sleeps. On macOS the monotonic clock does; on Linux that one
    # stands still, and another one goes on.
    if sys.platform == "darwin":
        return time.CLOCK_MONOTONIC
    return getattr(time, "CLOCK_BOOTTIME", None)


CLOCK: Final = _find()
"""The number of the boot-time clock, or None on a system without one."""

FALLBACK: Final = time.CLOCK_MONOTONIC


def boottime() -> float:
    """Seconds since the machine's start, sleep included; without such a clock, sleep excluded."""
    return time.clock_gettime(FALLBACK if CLOCK is None else CLOCK)


@dataclass(frozen=True, slots=True)
class LeaseClock:
    """What leases are measured by: seconds, and whether they go on while the machine sleeps."""

    now: Callable[[], float]
    counts_sleep: bool


LEASE_CLOCK: Final = LeaseClock(boottime, CLOCK is not None)
"""This machine's."""


class SystemClock:
    """Tells the time by the machine's wall clock, but never an earlier one than it told before.

    Otherwise a clock that is set back would bring to life what has ended: a secret that a rotation
    retired, or a key past its expiry.
    """

    def __init__(self) -> None:
        self._latest = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The time in UTC."""
        self._latest = max(self._latest, datetime.now(UTC))
        return self._latest
