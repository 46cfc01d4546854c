"""The clock that leases are measured by."""

from __future__ import annotations

import sys
import time
from typing import Final


def _find() -> int | None:
    # It has to go on while the machine sleeps. On macOS the monotonic clock does; on Linux that one
    # stands still, and another one goes on.
    if sys.platform == "darwin":
        return time.CLOCK_MONOTONIC
    return getattr(time, "CLOCK_BOOTTIME", None)


CLOCK: Final = _find()
"""The number of the clock, or None on a system without one: nothing may be cached there."""

FALLBACK: Final = time.CLOCK_MONOTONIC


def now() -> float:
    """Seconds since the machine's start, sleep included; without such a clock, sleep excluded."""
    return time.clock_gettime(FALLBACK if CLOCK is None else CLOCK)
