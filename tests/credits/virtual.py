"""Virtual time: an event loop whose clock jumps to what is due next, and processes that can be killed."""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Coroutine
from random import Random
from typing import Any, Final


class _NoWaiting(selectors.SelectSelector):
    """Waits for nothing: what it would have waited has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits for ever")
        self.time += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop without files and sockets. Time passes only while nothing is to be done."""

    def __init__(self) -> None:
        self._waits = _NoWaiting()
        super().__init__(self._waits)
        self.set_task_factory(_create_task)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._waits.time


def now() -> float:
    """The time that all clocks show."""
    return asyncio.get_running_loop().time()


class Process:
    """The tasks of one process, which end without a word when it is killed."""

    def __init__(self) -> None:
        self.alive = True
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Begins *work* in it; so is all that the work begins."""
        context = contextvars.copy_context()
        context.run(_PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    def kill(self) -> None:
        """Ends it."""
        self.alive = False
        for task in list(self._tasks):
            task.cancel()

    def add(self, task: asyncio.Task[Any]) -> None:
        """Notes a task of it. One that begins after its death ends at once."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if not self.alive:
            task.cancel()


_PROCESS: Final[contextvars.ContextVar[Process | None]] = contextvars.ContextVar(
    "process", default=None
)


def _create_task(
    loop: asyncio.AbstractEventLoop,
    work: Any,
    context: contextvars.Context | None = None,
) -> asyncio.Task[Any]:
    process = _PROCESS.get() if context is None else context.get(_PROCESS)
    task = asyncio.Task(work, loop=loop, context=context)
    if process is not None:
        process.add(task)
    return task


class Lost(Exception):  # noqa: N818 - a message, not an error
    """No answer came in time, though the call may have arrived."""


class Network:
    """Between one process and the authority: loses, delays and doubles what is sent."""

    def __init__(self, dice: Random) -> None:
        self.cut_until = 0.0
        self.calm = False
        self._dice = dice
        self._loss = dice.choice((0.0, 0.02, 0.2))
        self._slow = dice.choice((0.0, 0.05, 0.3))

    async def call(self, work: Any, within: float) -> Any:
        """Has *work* done at the other end; returns its answer. Raises `Lost`, and what it raises."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        for _ in range(2 if not self.calm and self._dice.random() < 0.05 else 1):
            # What is under way outlives the process that sent it.
            _ = asyncio.get_running_loop().create_task(
                self._deliver(work, answer), context=contextvars.Context()
            )
        try:
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            raise Lost from None

    async def _deliver(self, work: Any, answer: asyncio.Future[Any]) -> None:
        await asyncio.sleep(self._delay())
        if self._loses():
            return
        try:
            reply, error = await work(), None
        except Exception as raised:  # noqa: BLE001 - the caller gets it
            reply, error = None, raised
        await asyncio.sleep(self._delay())
        if self._loses() or answer.done():
            return
        if error is None:
            answer.set_result(reply)
        else:
            answer.set_exception(error)

    def _loses(self) -> bool:
        return not self.calm and (now() < self.cut_until or self._dice.random() < self._loss)

    def _delay(self) -> float:
        if not self.calm and self._dice.random() < self._slow:
            return self._dice.uniform(0.0, 3.0)
        return self._dice.expovariate(500.0)
