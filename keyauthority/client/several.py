"""One channel to several replicas, in asyncio: see `attempts` for when a call is made again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Generic, Self

import grpc

from keyauthority.client import attempts
from keyauthority.client.attempts import Kind
from keyauthority.client.replicas import Channel, Replica, Replicas

RETIRED_WITHIN: Final = 30.0
"""Seconds for the calls to a replica that its name leads to no more."""

Member = Replica[grpc.aio.Channel]


class UnaryOnly:
    """The part of a channel to several replicas that says that it has no streams."""

    def unary_stream(self, *_arguments: Any, **_options: Any) -> Any:
        # A stub makes all methods of its service, called or not.
        return _no_stream

    stream_unary = stream_stream = unary_stream


def _no_stream(*_arguments: Any, **_options: Any) -> Any:
    raise NotImplementedError("streams go to one replica: use a channel to it")


class Method(Generic[Channel]):
    """One method of the authority, which each replica's channel makes once."""

    def __init__(
        self,
        replicas: Replicas[Channel],
        path: str,
        coding: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        self._replicas = replicas
        self._path = path
        self._coding = coding
        self._options = options
        self._kind = attempts.kind(path)

    def _of(self, member: Replica[Any]) -> Any:
        if self not in member.methods:
            method = member.channel.unary_unary(self._path, *self._coding, **self._options)
            member.methods[self] = method
        return member.methods[self]


class SeveralChannel(UnaryOnly, grpc.aio.Channel):
    """Unary calls of *replicas*."""

    def __init__(self, replicas: Replicas[grpc.aio.Channel]) -> None:
        self._replicas = replicas
        self._tasks: set[asyncio.Task[Any]] = set()

    def unary_unary(self, method: str, *coding: Any, **options: Any) -> Any:
        return _Method(self._replicas, self._tasks, method, coding, options)

    def get_state(self, try_to_connect: bool = False) -> Any:
        raise NotImplementedError("each replica has its own")

    async def wait_for_state_change(self, last_observed_state: Any) -> None:
        raise NotImplementedError("each replica has its own")

    async def channel_ready(self) -> None:
        raise NotImplementedError("each replica has its own")

    async def close(self, grace: float | None = None) -> None:
        """Closes the channels to all replicas."""
        await asyncio.gather(*(channel.close(grace) for channel in self._replicas.close()))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


class _Method(Method[grpc.aio.Channel]):
    # Called as any stub calls a method. Its result can be awaited, and nothing else.

    def __init__(
        self,
        replicas: Replicas[grpc.aio.Channel],
        tasks: set[asyncio.Task[Any]],
        path: str,
        coding: tuple[Any, ...],
        options: dict[str, Any],
    ) -> None:
        super().__init__(replicas, path, coding, options)
        self._tasks = tasks
        self._call = {
            Kind.READS: self._ask,
            Kind.KEEPS_SESSION: self._send,
            Kind.CHANGES: self._change,
        }[self._kind]

    def __call__(
        self, request: Any, *, timeout: float | None = None, **options: Any
    ) -> Awaitable[Any]:
        return self._call(request, attempts.deadline(timeout), options)

    async def _send(self, request: Any, deadline: float, options: dict[str, Any]) -> Any:
        return await self._at(self._replicas.one(), request, deadline, options)

    async def _change(self, request: Any, deadline: float, options: dict[str, Any]) -> Any:
        return await self._at(await self._member_that_is_well(), request, deadline, options)

    async def _ask(self, request: Any, deadline: float, options: dict[str, Any]) -> Any:
        if len(self._replicas) == 1:
            return await self._send(request, deadline, options)
        asking = _Asking(self._replicas, self._tasks, deadline)
        try:
            return await asking.answer(lambda member: self._at(member, request, deadline, options))
        except BaseException:
            asking.end()
            raise

    async def _at(
        self, member: Member, request: Any, deadline: float, options: dict[str, Any]
    ) -> Any:
        call = self._of(member)(request, timeout=attempts.left(deadline), **options)
        return await self._judged(member, call)

    async def _judged(self, member: Member, call: Any) -> Any:
        try:
            reply = await call
        except grpc.aio.AioRpcError as error:
            self._replicas.judge(member, error)
            raise
        self._replicas.answered(member)
        return reply

    async def _member_that_is_well(self) -> Member:
        tried: list[Member] = []
        answered: list[Member] = []
        while len(self._replicas) > 1 and (member := self._replicas.next(tried)) is not None:
            tried.append(member)
            check: Any = member.channel.unary_unary(attempts.HEALTH)
            try:
                reply = await self._judged(member, check(b"", timeout=attempts.CHECKED_WITHIN))
                if reply == attempts.SERVING:
                    return member
            except grpc.aio.AioRpcError as error:
                if attempts.is_sick(error):
                    continue
            answered.append(member)
        # If none is well, one that answers says why. If none answers, neither will the next.
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
        self._share = attempts.share(deadline, len(replicas))
        self._tried: list[Member] = []
        self._running: dict[asyncio.Task[Any], Member] = {}

    async def answer(self, ask: Callable[[Member], Coroutine[Any, Any, Any]]) -> Any:
        """Returns the first answer of any replica. Raises the last failure if there is none."""
        failure: BaseException = RuntimeError("no replica was asked")
        while self._start(ask):
            done, _ = await asyncio.wait(
                self._running, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                self._replicas.slow(self._running.values())
            for task in done:
                del self._running[task]
                error = task.exception()
                if error is None or not attempts.is_sick(error):
                    # The slower calls go on: a late answer shows that its replica is not dead.
                    return task.result()
                failure = error
        raise failure

    def end(self) -> None:
        for task in self._running:
            task.cancel()

    def _start(self, ask: Callable[[Member], Coroutine[Any, Any, Any]]) -> bool:
        # Asks one more replica, if there is one and time for its answer: without time it would be
        # called sick, and be tried ever later. Returns whether any call runs.
        in_time = not self._tried or self._deadline - time.monotonic() > attempts.SHORTEST
        if in_time and len(self._tried) < attempts.MOST:
            member = self._replicas.next(self._tried, may_try_sick=not self._tried)
            if member is not None:
                self._tried.append(member)
                task = asyncio.create_task(ask(member))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                task.add_done_callback(_retrieve)
                self._running[task] = member
        return bool(self._running)

    def _patience(self) -> float | None:
        # Where all replicas are slow, asking more of them is no use.
        if len(self._tried) < attempts.MOST and self._replicas.may_ask_beside(self._tried):
            return self._share
        return None


def _retrieve(task: asyncio.Task[Any]) -> None:
    # Another replica answered sooner: asyncio need not warn of an exception that nobody retrieved.
    if not task.cancelled():
        task.exception()
