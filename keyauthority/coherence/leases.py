"""Lease arithmetic (Gray and Cheriton, 1989): how long to wait until a lease is over elsewhere.

A verifier counts a lease of L from the moment it *sent* the request, by its own clock: it ends after
at most L/(1-ρ) true seconds. Whoever waits counts from after the change was durable, by another
clock: W of its seconds are at least W/(1+ρ) true ones. So W = L·(1+ρ)/(1-ρ), and a little more for
the reading of clocks. Offsets between clocks, their steps and time zones play no part.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

RATE_ERROR: Final = 0.05
"""ρ: how far any clock's rate may be from true time."""

SLACK: Final = 0.05
"""ε: seconds on top of what rates explain."""

STRETCH: Final = (1 + RATE_ERROR) / (1 - RATE_ERROR)


def wait_out(lease: timedelta) -> float:
    """Returns W: seconds of one's own clock after which a lease that was in force before is over."""
    return lease.total_seconds() * STRETCH + SLACK
