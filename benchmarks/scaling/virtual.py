"""Virtual time for asyncio, and processors that are busy in it.

The shipped code that awaits (`domain.gathering`) runs as it is; an hour takes as long as its events.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.SelectSelector):
    # Nothing ever arrives from outside: whoever waits for the next timer is there at once.
    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is due any more, and somebody still waits")
        self.time += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        # Sums of floats come out a little before the timer that they are to reach.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Returns the virtual time, in seconds from 0."""
        return self._virtual.time


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs *work* in virtual time; whatever it left running is cancelled."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def now() -> float:
    """Returns the virtual time, in seconds."""
    return asyncio.get_running_loop().time()


class Processor:
    """A machine of some *cores*: work is done in the order of its arrival, each on one core."""

    def __init__(self, cores: int = 1) -> None:
        self.busy = 0.0
        """Seconds of work so far."""
        self._free = [0.0] * cores

    async def work(self, seconds: float) -> None:
        """Returns when so many seconds of work are done, after all that came before."""
        start = max(now(), self._free[0])
        heapq.heapreplace(self._free, start + seconds)
        await asyncio.sleep(start + seconds - now())
        self.busy += seconds


def quantiles(values: list[float]) -> Mapping[str, float]:
    """Returns the median and the 99th percentile of *values*, of which there is one at least."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return {"p50": ordered[last // 2], "p99": ordered[round(last * 0.99)]}
