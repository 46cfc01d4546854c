"""What is measured by itself, and what it should come to."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured. `met` is None where nothing is owed, or nothing was measured."""

    what: str
    found: str
    owed: str = ""
    aim: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """What something costs as something else grows: the latter is the first of each row's cells."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds of `count` calls made one after the other."""

    count: int
    p50: float
    p99: float
    worst: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, worst {self.worst:.1f} ms, {self.count} calls"
        )


def latencies(took: Sequence[float]) -> Latencies:
    """Of calls that *took* so many seconds each; two at least."""
    hundredths = statistics.quantiles(took, n=100, method="inclusive")
    return Latencies(len(took), hundredths[49] * 1000, hundredths[98] * 1000, max(took) * 1000)
