"""What is measured, what it should come to, and all results of a run."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.comparing import Comparison
from benchmarks.processes import BenchmarkError


@dataclass(frozen=True, slots=True)
class Figure:
    """One value. `met` is None where nothing is owed, or nothing was measured."""

    what: str
    value: str
    owed: str = ""
    aim: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Growth:
    """What something costs as something else grows, which is the first cell of each row."""

    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds of `count` calls made one after the other."""

    count: int
    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """Returns those of calls that took so many *seconds* each; two at least."""
        hundredths = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(len(seconds), hundredths[49] * 1e3, hundredths[98] * 1e3, max(seconds) * 1e3)

    def __str__(self) -> str:
        return (
            f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, worst {self.worst:.1f} ms, {self.count} calls"
        )


Result = Comparison | Figure | Growth
Kind = TypeVar("Kind", Comparison, Figure, Growth)


@dataclass(frozen=True, slots=True)
class Results:
    """All results so far. `show` is called with each new one."""

    show: Callable[[Result], None]
    results: list[Result] = field(default_factory=list)
    # Of programs that only some rows need.
    versions: dict[str, str] = field(default_factory=dict)
    # What could not be measured, and why.
    missed: list[str] = field(default_factory=list)

    def add(self, *results: Result) -> None:
        """Adds and shows *results*."""
        for result in results:
            self.results.append(result)
            self.show(result)

    def add_or_miss(self, what: str, results: Iterable[Result]) -> None:
        """Adds *results*, of which whatever follows is independent.

        If one can't be measured, those before it stay, and `missed` says why.
        """
        try:
            for result in results:
                self.add(result)
        except BenchmarkError as error:
            self.missed.append(f"{what}: {error}")
            self.add(Figure(what, "not measured: see the beginning of this page"))

    def of(self, kind: type[Kind]) -> list[Kind]:
        """Returns the results of one *kind*."""
        return [result for result in self.results if isinstance(result, kind)]
