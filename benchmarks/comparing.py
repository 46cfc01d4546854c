"""Compares two servers under the same load, one after the other, again and again."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

from benchmarks.loads import Generator
from benchmarks.processes import BenchmarkError, Process

WARM_UP: Final = 1.0
"""Seconds of load before anything is measured."""

Counting = Callable[[], AbstractContextManager[list[int]]]


def _uncounted() -> AbstractContextManager[list[int]]:
    return nullcontext([])


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: answers a second, and CPU seconds a second of server and load."""

    rate: float
    server_cpu: float
    load_cpu: float


@dataclass(frozen=True, slots=True)
class Side:
    """A server under a load.

    A call gets `per_call` answers. `counted` counts them at the server, for loads that can't tell
    good answers from bad; it must not count fewer than the load does.
    """

    server: Process
    load: Generator
    per_call: int = 1
    counted: Counting = _uncounted

    def sample(self, seconds: float) -> Sample:
        """Returns one run of the load; raises `BenchmarkError` if not all answers were good."""
        with self.counted() as counts:
            cpu_before = self.server.cpu_seconds()
            try:
                load = self.load.run(seconds)
            except BenchmarkError as error:
                raise BenchmarkError(
                    f"{self.server.name}: {error}; {self.server.log_tail()}"
                ) from None
            cpu = self.server.cpu_seconds() - cpu_before
        answers = load.calls * self.per_call
        if answers == 0 or (counts and counts[0] < answers):
            raise BenchmarkError(
                f"{self.server.name}: {answers} answers, of which {counts} were good"
            )
        return Sample(answers / load.seconds, cpu / load.seconds, load.cpu / load.seconds)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs of both sides, in pairs. Their ratio must be `owed` and should be `aim`.

    `by_cpu`: that is the one by CPU time, else the one of answers a second.
    """

    what: str
    against: str
    owed: str
    aim: str
    loads: tuple[str, str]
    pairs: Sequence[tuple[Sample, Sample]]
    by_cpu: bool = False

    @property
    def ratios(self) -> list[float]:
        """How many times as fast our side was, pair by pair."""
        return [ours.rate / theirs.rate for ours, theirs in self.pairs]

    @property
    def met(self) -> bool | None:
        """Whether the median ratio is what is owed; None if nothing is."""
        ratios = self.cost_ratios if self.by_cpu else self.ratios
        return statistics.median(ratios) >= float(self.owed) if self.owed else None

    @property
    def cost_ratios(self) -> list[float]:
        """The same by the server's CPU time for each answer, whatever else the machine does."""
        return [
            (theirs.server_cpu / theirs.rate) / (ours.server_cpu / ours.rate)
            for ours, theirs in self.pairs
        ]

    def median(self, side: int, field: str) -> float:
        """Returns the median of a field of one side's samples."""
        values: list[float] = [getattr(pair[side], field) for pair in self.pairs]
        return statistics.median(values)


@dataclass(frozen=True, slots=True)
class Measuring:
    """How long each row is measured: `pairs` pairs of runs of `seconds` each."""

    pairs: int
    seconds: float

    def compare(
        self,
        what: str,
        ours: Side,
        against: str,
        theirs: Side,
        *,
        owed: str = "",
        aim: str = "",
        by_cpu: bool = False,
    ) -> Comparison:
        """Returns both sides, run in turn after a warm-up; raises `BenchmarkError`.

        Those compared *by_cpu* time are run twice as often: a difference is to be seen that is smaller
        than what else the machine does makes.
        """
        for side in (ours, theirs):
            side.sample(min(WARM_UP, self.seconds))
        pairs = [
            self._pair(ours, theirs, swapped=bool(number % 2))
            for number in range(self.pairs * (1 + by_cpu))
        ]
        loads = ours.load.name, theirs.load.name
        return Comparison(what, against, owed, aim, loads, pairs, by_cpu)

    def _pair(self, ours: Side, theirs: Side, *, swapped: bool) -> tuple[Sample, Sample]:
        # In either order, so that what the machine does more and more of is for both.
        if swapped:
            second = theirs.sample(self.seconds)
            return ours.sample(self.seconds), second
        return ours.sample(self.seconds), theirs.sample(self.seconds)
