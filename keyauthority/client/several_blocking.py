"""One channel to several replicas, for threads: see `attempts` for when a call is made again."""

from __future__ import annotations

import time
from typing import Any, Self

import grpc

from keyauthority.client import attempts
from keyauthority.client.attempts import Kind
from keyauthority.client.replicas import Replica, Replicas

Member = Replica[grpc.Channel]


class SeveralBlockingChannel(grpc.Channel):
    """Unary calls of *replicas*. A slow one is left for another, not waited for beside it."""

    def __init__(self, replicas: Replicas[grpc.Channel]) -> None:
        self._replicas = replicas

    def unary_unary(self, method: str, *coding: Any, **more: Any) -> Any:
        return _Method(self._replicas, method, coding, more)

    def unary_stream(self, *arguments: Any, **more: Any) -> Any:
        # A stub makes all methods of its service, called or not.
        return _no_stream

    stream_unary = stream_stream = unary_stream

    def subscribe(self, callback: Any, try_to_connect: bool = False) -> None:
        raise NotImplementedError("each replica has its own state")

    def unsubscribe(self, callback: Any) -> None:
        raise NotImplementedError("each replica has its own state")

    def close(self) -> None:
        """Closes the channels to all replicas."""
        for channel in self._replicas.close():
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _no_stream(*_arguments: Any, **_more: Any) -> Any:
    raise NotImplementedError("streams go to one replica: use a channel to it")


class _Method:
    def __init__(
        self,
        replicas: Replicas[grpc.Channel],
        path: str,
        coding: tuple[Any, ...],
        more: dict[str, Any],
    ) -> None:
        self._replicas = replicas
        self._path = path
        self._coding = coding
        self._more = more
        reads = attempts.kind(path) is Kind.READS
        self._call = self._ask if reads else self._change

    def __call__(self, request: Any, *, timeout: float | None = None, **more: Any) -> Any:
        return self._call(request, attempts.deadline(timeout), more)

    def _change(self, request: Any, deadline: float, more: dict[str, Any]) -> Any:
        return self._at(self._one_that_is_well(), request, deadline, more)

    def _ask(self, request: Any, deadline: float, more: dict[str, Any]) -> Any:
        share = attempts.share(deadline - time.monotonic(), len(self._replicas))
        tried: list[Member] = []
        while True:
            member = self._replicas.next(tried, may_try_sick=not tried) or self._replicas.one()
            tried.append(member)
            others = len(tried) < min(attempts.MOST, len(self._replicas))
            leaves = others and self._replicas.may_ask_beside(tried)
            until = min(time.monotonic() + share, deadline) if leaves else deadline
            try:
                return self._at(member, request, until, more)
            except grpc.RpcError as error:
                if not (others and _is_sick(error) and time.monotonic() < deadline):
                    raise
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._replicas.slow([member])

    def _at(self, member: Member, request: Any, until: float, more: dict[str, Any]) -> Any:
        method = member.methods.get(self)
        if method is None:
            method = member.channel.unary_unary(self._path, *self._coding, **self._more)
            member.methods[self] = method
        left = attempts.left(until)
        return _judged(self._replicas, member, method, request, timeout=left, **more)

    def _one_that_is_well(self) -> Member:
        tried: list[Member] = []
        answered: list[Member] = []
        while len(self._replicas) > 1 and (member := self._replicas.next(tried)) is not None:
            tried.append(member)
            check: Any = member.channel.unary_unary(attempts.HEALTH)
            seconds = attempts.CHECKED_WITHIN
            try:
                if _judged(self._replicas, member, check, b"", timeout=seconds) == attempts.SERVING:
                    return member
            except grpc.RpcError as error:
                if _is_sick(error):
                    continue
            answered.append(member)
        # If none is, one that answers says why. If none answers, neither will the next.
        return (answered or tried or [self._replicas.one()])[0]


def _judged(
    replicas: Replicas[grpc.Channel], member: Member, method: Any, *arguments: Any, **more: Any
) -> Any:
    try:
        answer = method(*arguments, **more)
    except grpc.RpcError as error:
        if _is_sick(error) and not attempts.is_of_the_question(error):
            replicas.failed(member)
        else:
            replicas.answered(member)
        raise
    replicas.answered(member)
    return answer


def _is_sick(error: grpc.RpcError) -> bool:
    return isinstance(error, grpc.Call) and attempts.is_sick(error.code())
