"""One channel to several replicas, in asyncio: see `attempts` for when a call is made again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Self

import grpc

from keyauthority.client import attempts
from keyauthority.client.attempts import Kind
from keyauthority.client.replicas import Replica, Replicas

RETIRED_WITHIN: Final = 30.0
"""Seconds for the calls to a replica that its name leads to no more."""

Member = Replica[grpc.aio.Channel]


class SeveralChannel(grpc.aio.Channel):
    """Unary calls of *replicas*."""

    def __init__(self, replicas: Replicas[grpc.aio.Channel]) -> None:
        self._replicas = replicas
        self._tasks: set[asyncio.Task[Any]] = set()

    def unary_unary(self, method: str, *coding: Any, **more: Any) -> Any:
        return _Method(self._replicas, self._tasks, method, coding, more)

    def unary_stream(self, *arguments: Any, **more: Any) -> Any:
        # A stub makes all methods of its service, called or not.
        return _no_stream

    stream_unary = stream_stream = unary_stream

    def get_state(self, try_to_connect: bool = False) -> Any:
        raise NotImplementedError("each replica has its own")

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        raise NotImplementedError("each replica has its own")

    async def channel_ready(self) -> None:
        raise NotImplementedError("each replica has its own")

    async def close(self, grace: float | None = None) -> None:
        """Closes the channels to all replicas."""
        await asyncio.gather(*(one.close(grace) for one in self._replicas.close()))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def _no_stream(*_arguments: Any, **_more: Any) -> Any:
    raise NotImplementedError("streams go to one replica: use a channel to it")


class _Method:
    # One method, called as any stub calls it. What it gives is awaited and cannot be asked more.

    def __init__(
        self,
        replicas: Replicas[grpc.aio.Channel],
        tasks: set[asyncio.Task[Any]],
        path: str,
        coding: tuple[Any, ...],
        more: dict[str, Any],
    ) -> None:
        self._replicas = replicas
        self._tasks = tasks
        self._path = path
        self._coding = coding
        self._more = more
        self._call = {
            Kind.READS: self._ask,
            Kind.KEEPS_SESSION: self._send,
            Kind.CHANGES: self._change,
        }[attempts.kind(path)]

    def __call__(
        self, request: Any, *, timeout: float | None = None, **more: Any
    ) -> Awaitable[Any]:
        return self._call(request, attempts.deadline(timeout), more)

    async def _send(self, request: Any, deadline: float, more: dict[str, Any]) -> Any:
        return await self._at(self._replicas.one(), request, deadline, more)

    async def _change(self, request: Any, deadline: float, more: dict[str, Any]) -> Any:
        member = await self._one_that_is_well()
        return await self._at(member, request, deadline, more)

    async def _ask(self, request: Any, deadline: float, more: dict[str, Any]) -> Any:
        if len(self._replicas) == 1:
            return await self._send(request, deadline, more)
        asking = _Asking(self._replicas, self._tasks, deadline)
        try:
            return await asking.answer(lambda member: self._at(member, request, deadline, more))
        except BaseException:
            asking.end()
            raise

    async def _at(self, member: Member, request: Any, deadline: float, more: dict[str, Any]) -> Any:
        method = member.methods.get(self)
        if method is None:
            method = member.channel.unary_unary(self._path, *self._coding, **self._more)
            member.methods[self] = method
        called = method(request, timeout=attempts.left(deadline), **more)
        return await _judged(self._replicas, member, called)

    async def _one_that_is_well(self) -> Member:
        tried: list[Member] = []
        answered: list[Member] = []
        while len(self._replicas) > 1 and (member := self._replicas.next(tried)) is not None:
            tried.append(member)
            check: Any = member.channel.unary_unary(attempts.HEALTH)
            try:
                called = check(b"", timeout=attempts.CHECKED_WITHIN)
                if await _judged(self._replicas, member, called) == attempts.SERVING:
                    return member
            except grpc.aio.AioRpcError as error:
                if attempts.is_sick(error.code()):
                    continue
            answered.append(member)
        # If none is, one that answers says why. If none answers, neither will the next.
        return (answered or tried or [self._replicas.one()])[0]


class _Asking:
    # The calls about one question.

    def __init__(
        self,
        replicas: Replicas[grpc.aio.Channel],
        tasks: set[asyncio.Task[Any]],
        deadline: float,
    ) -> None:
        self._replicas = replicas
        self._tasks = tasks
        self._deadline = deadline
        self._share = attempts.share(deadline - time.monotonic(), len(replicas))
        self._tried: list[Member] = []
        self._running: dict[asyncio.Task[Any], Member] = {}

    async def answer(self, ask: Callable[[Member], Coroutine[Any, Any, Any]]) -> Any:
        """The first answer of any. Raises the last failure if there is none."""
        failure: BaseException = RuntimeError("nobody was asked")
        while self._start(ask):
            done, _ = await asyncio.wait(
                self._running, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._replicas.slow(self._running.values())
            for task in done:
                del self._running[task]
                error = task.exception()
                if error is None or not _is_sick(error):
                    # Those who are slower go on: a late answer tells that they are not dead.
                    return task.result()
                failure = error
        raise failure

    def end(self) -> None:
        for task in self._running:
            task.cancel()

    def _start(self, ask: Callable[[Member], Coroutine[Any, Any, Any]]) -> bool:
        # Has one more asked, if there is one and it has time to answer: else it would be called sick,
        # and be tried ever later. Whether anybody is asked at all.
        in_time = not self._tried or self._deadline - time.monotonic() > attempts.SHORTEST
        if in_time and len(self._tried) < attempts.MOST:
            member = self._replicas.next(self._tried, may_try_sick=not self._tried)
            if member is not None:
                self._tried.append(member)
                task = asyncio.create_task(ask(member))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(_heard)
                self._running[task] = member
        return bool(self._running)

    def _patience(self) -> float | None:
        # Where all are slow it is no use to ask more of them.
        more = len(self._tried) < attempts.MOST and self._replicas.may_ask_beside(self._tried)
        return self._share if more else None


async def _judged(replicas: Replicas[grpc.aio.Channel], member: Member, call: Any) -> Any:
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        if attempts.is_sick(error.code()) and not attempts.is_of_the_question(error):
            replicas.failed(member)
        else:
            replicas.answered(member)
        raise
    replicas.answered(member)
    return answer


def _is_sick(failure: BaseException) -> bool:
    return isinstance(failure, grpc.aio.AioRpcError) and attempts.is_sick(failure.code())


def _heard(task: asyncio.Task[Any]) -> None:
    # Another's answer was sooner; what became of this one is nobody's concern.
    if not task.cancelled():
        task.exception()
