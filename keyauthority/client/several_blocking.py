"""One channel to several replicas, for threads: see `attempts` for when a call is made again."""

from __future__ import annotations

import time
from typing import Any, Self

import grpc

from keyauthority.client import attempts
from keyauthority.client.attempts import Kind
from keyauthority.client.replicas import Replica, Replicas
from keyauthority.client.several import Method, UnaryOnly

Member = Replica[grpc.Channel]


class SeveralBlockingChannel(UnaryOnly, grpc.Channel):
    """Unary calls of *replicas*. A slow replica is left for another, not waited for beside it."""

    def __init__(self, replicas: Replicas[grpc.Channel]) -> None:
        self._replicas = replicas

    def unary_unary(self, method: str, *coding: Any, **options: Any) -> Any:
        return _Method(self._replicas, method, coding, options)

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


class _Method(Method[grpc.Channel]):
    def __call__(self, request: Any, *, timeout: float | None = None, **options: Any) -> Any:
        deadline = attempts.deadline(timeout)
        if self._kind is Kind.READS:
            return self._ask(request, deadline, options)
        return self._at(self._member_that_is_well(), request, deadline, options)

    def _ask(self, request: Any, deadline: float, options: dict[str, Any]) -> Any:
        share = attempts.share(deadline, len(self._replicas))
        tried: list[Member] = []
        while True:
            member = self._replicas.next(tried, may_try_sick=not tried) or self._replicas.one()
            tried.append(member)
            others = len(tried) < min(attempts.MOST, len(self._replicas))
            leaves = others and self._replicas.may_ask_beside(tried)
            until = min(time.monotonic() + share, deadline) if leaves else deadline
            try:
                return self._at(member, request, until, options)
            except grpc.RpcError as error:
                if not (others and attempts.is_sick(error) and time.monotonic() < deadline):
                    raise
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._replicas.slow([member])

    def _at(self, member: Member, request: Any, until: float, options: dict[str, Any]) -> Any:
        method = self._of(member)
        return self._judged(member, method, request, timeout=attempts.left(until), **options)

    def _judged(self, member: Member, method: Any, request: Any, **options: Any) -> Any:
        try:
            reply = method(request, **options)
        except grpc.RpcError as error:
            self._replicas.judge(member, error)
            raise
        self._replicas.answered(member)
        return reply

    def _member_that_is_well(self) -> Member:
        tried: list[Member] = []
        answered: list[Member] = []
        while len(self._replicas) > 1 and (member := self._replicas.next(tried)) is not None:
            tried.append(member)
            check: Any = member.channel.unary_unary(attempts.HEALTH)
            try:
                reply = self._judged(member, check, b"", timeout=attempts.CHECKED_WITHIN)
                if reply == attempts.SERVING:
                    return member
            except grpc.RpcError as error:
                if attempts.is_sick(error):
                    continue
            answered.append(member)
        # If none is well, one that answers says why. If none answers, neither will the next.
        return (answered or tried or [self._replicas.one()])[0]
