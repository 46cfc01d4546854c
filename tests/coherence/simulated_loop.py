"""As much of an event loop as the shipped `Books` need: no clock, and no sockets."""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class Loop:
    """Runs what is ready; what is awaited is an event of virtual time."""

    def __init__(self) -> None:
        self._as_loop: Any = self
        self._ready: deque[asyncio.Handle] = deque()
        self._running = False
        self._error: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs *work* as a task; what it raises, `run` raises."""
        self.create_task(work).add_done_callback(self._ended)

    def run(self) -> None:
        """Runs until nothing is ready. Whatever becomes ready in between is run too."""
        if self._running:
            return
        self._running = True
        events._set_running_loop(self._as_loop)
        try:
            while self._ready:
                self._ready.popleft()._run()
        finally:
            events._set_running_loop(None)
            self._running = False
        if self._error is not None:
            raise self._error

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            self._error = self._error or task.exception()

    # --- what tasks and futures call

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._as_loop)

    def create_task(self, coro: Any, **_: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self._as_loop)

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._as_loop, context)
        self._ready.append(handle)
        return handle

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Nothing: tasks of a process that crashed are never ended."""


def driven(work: Coroutine[Any, Any, Result]) -> Result:
    """Runs *work* to its end in one go, as the store on SQLite does; it may await nothing else."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: Result = ended.value
        return result
    raise RuntimeError("a work awaits something else than its transaction")
