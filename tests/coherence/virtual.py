"""Virtual time: what is due runs in order, on machines whose clocks are wrong and which may stand still."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from keyauthority.coherence.leases import RATE_ERROR

Work = Callable[..., None]


class Timeline:
    """True time, in seconds, which nobody inside can read."""

    def __init__(self) -> None:
        self.time = 0.0
        self.events = 0
        self._due: list[tuple[float, int, Work, tuple[Any, ...]]] = []
        self._order = count()

    def at(self, time: float, work: Work, *args: Any) -> None:
        heapq.heappush(self._due, (max(time, self.time), next(self._order), work, args))

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.time, _, work, args = heapq.heappop(self._due)
            self.events += 1
            work(*args)
        self.time = until


class Machine:
    """A process on a machine: a clock of its own, pauses, crashes."""

    def __init__(self, timeline: Timeline, random: Random) -> None:
        self.timeline = timeline
        self.random = random
        self._rate = random.choice((1 - RATE_ERROR, 1 + RATE_ERROR))
        self._offset = random.uniform(0.0, 1e6)
        self._paused_until = 0.0
        self._life = 0

    def now(self) -> float:
        """The time by its own clock, which goes on in a pause."""
        return self._offset + self._rate * self.timeline.time

    def after(self, seconds: float, work: Work, *args: Any) -> None:
        """Does *work* after *seconds* of its own clock, in this life."""
        self.arrives(seconds / self._rate, work, *args)

    def arrives(self, seconds: float, work: Work, *args: Any) -> None:
        """Does *work* after *seconds* of true time, in this life."""
        self.timeline.at(self.timeline.time + seconds, self._do, self._life, work, args)

    def pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self.timeline.time + seconds)

    def crash(self) -> None:
        """Nothing that was to be done is."""
        self._life += 1
        self._paused_until = 0.0

    def _do(self, life: int, work: Work, args: tuple[Any, ...]) -> None:
        if life != self._life:
            return
        if self.timeline.time < self._paused_until:
            self.timeline.at(self._paused_until, self._do, life, work, args)
        else:
            work(*args)


class Network:
    """Loses, delays, doubles and reorders. Until `cut_until` nothing gets through."""

    def __init__(self, timeline: Timeline, random: Random, slowest: float) -> None:
        self.cut_until = 0.0
        self._timeline = timeline
        self._random = random
        self._slowest = slowest
        self._loss = random.choice((0.0, 0.02, 0.2))
        self._slow = random.choice((0.0, 0.05, 0.3))

    def send(self, to: Machine, work: Work, *args: Any) -> None:
        if self._timeline.time < self.cut_until:
            return
        for _ in range(2 if self._random.random() < 0.02 else 1):
            if self._random.random() >= self._loss:
                to.arrives(self.delay(), work, *args)

    def delay(self) -> float:
        if self._random.random() < self._slow:
            return self._random.uniform(0.0, self._slowest)
        return self._random.expovariate(500.0)
