"""Transactions that stay open while a test does other things."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias, cast

from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import Transaction

Step: TypeAlias = Callable[[Transaction], Awaitable[Any]]


class _LeftError(Exception):
    """The block raised: so does the work."""


def changing(store: Store) -> AbstractAsyncContextManager[Transaction]:
    """A change that is committed at the end of the block, and undone if that raises."""
    return _opened(store.change)


def reading(store: Store) -> AbstractAsyncContextManager[Transaction]:
    """Reads of one state, and writes that are undone."""
    return _opened(store.read)


@asynccontextmanager
async def _opened(run: Callable[[Step], Awaitable[Any]]) -> AsyncIterator[Transaction]:
    """A transaction of which the store runs each step where it runs works, whenever it is asked to."""
    steps = _Steps()
    running = asyncio.ensure_future(run(steps.work))
    try:
        await asyncio.wait({running, steps.begun}, return_when=asyncio.FIRST_COMPLETED)
        if not steps.begun.done():
            await running
        yield cast(Transaction, _Forwarding(steps, steps.begun.result()))
    except BaseException:
        steps.end(_LeftError())
        await asyncio.wait({running})
        running.exception()
        raise
    steps.end()
    await running


class _Steps:
    """What is to be done in a transaction, one after the other, by whoever runs the work."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # One is for a work in a thread, the other for one in the loop.
        self._queues: tuple[queue.SimpleQueue[Any], asyncio.Queue[Any]] = (
            queue.SimpleQueue(),
            asyncio.Queue(),
        )
        self._over = False
        self.begun: asyncio.Future[Transaction] = self._loop.create_future()

    async def work(self, tx: Transaction) -> None:
        """Runs steps until the end."""
        self._tell(self.begun.set_result, tx)
        while (step := await self._next()) is not None:
            if isinstance(step, Exception):
                raise step
            run, future = step
            try:
                self._tell(future.set_result, await run(tx))
            except Exception as error:  # noqa: BLE001  # the block gets it
                self._tell(future.set_exception, error)

    async def do(self, step: Step) -> Any:
        """Has *step* run; fails as it does."""
        if self._over:
            raise RuntimeError("the transaction is over")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._put((step, future))
        return await asyncio.shield(future)

    def end(self, error: Exception | None = None) -> None:
        """Ends the work."""
        self._over = True
        self._put(error)

    def _put(self, step: Any) -> None:
        for steps in self._queues:
            if isinstance(steps, asyncio.Queue):
                steps.put_nowait(step)
            else:
                steps.put(step)

    async def _next(self) -> Any:
        in_thread, in_loop = self._queues
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return in_thread.get()
        return await in_loop.get()

    def _tell(self, told: Callable[[Any], None], value: Any) -> None:
        self._loop.call_soon_threadsafe(told, value)


class _Forwarding:
    """A transaction, or a repository of it, whose calls are steps."""

    def __init__(self, steps: _Steps, target: Any) -> None:
        self._steps = steps
        self._target = target

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._target, name)
        if name == "time":
            return part
        if not callable(part):
            return _Forwarding(self._steps, part)

        async def step(*arguments: Any, **named: Any) -> Any:
            return await self._steps.do(lambda _: part(*arguments, **named))

        return step
