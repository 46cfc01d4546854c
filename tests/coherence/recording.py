"""What the shipped verifier does with the scripts of `rules`, in virtual time: the test vectors.

`python -m tests.coherence.recording` writes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc

from benchmarks.scaling.virtual import now, run
from keyauthority.client import VerificationUnavailable
from keyauthority.client.accepted import Accepted
from keyauthority.client.asking import Asking, Counters
from keyauthority.client.following import Following
from keyauthority.client.lines import Question
from keyauthority.client.verdict_calls import VerdictCalls
from keyauthority.client.verification import Verification, is_native
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.entries import digest_of
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub
from keyauthority.verifier_check import vectors
from keyauthority.verifier_check.authority import ScriptedAuthority
from keyauthority.verifier_check.driving import Driver
from keyauthority.verifier_check.news import News
from keyauthority.verifier_check.steps import Vector
from tests.coherence.rules import RULES

TOKEN = "token"
METADATA = (("authorization", f"Bearer {TOKEN}"),)
DELAY = 0.001
"""Seconds each way between verifier and authority."""


class _Context:
    def invocation_metadata(self) -> Any:
        return METADATA

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing: Any = ()) -> Any:
        metadata = grpc.aio.Metadata(*trailing)
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details)


class _Channel:
    """Calls the methods of an authority in the same process, with deadlines in virtual time."""

    def __init__(self, authority: ScriptedAuthority) -> None:
        self._authority = authority

    def unary_unary(self, path: str, *_: Any, **__: Any) -> Callable[..., Coroutine[Any, Any, Any]]:
        method = getattr(self._authority, path.rpartition("/")[2], None)

        async def call(request: Any, **options: Any) -> Any:
            try:
                async with asyncio.timeout(options["timeout"]):
                    await asyncio.sleep(DELAY)
                    assert method is not None
                    reply = await method(request, _Context())
                    await asyncio.sleep(DELAY)
                    return reply
            except TimeoutError:
                late = grpc.StatusCode.DEADLINE_EXCEEDED
                raise grpc.aio.AioRpcError(late, grpc.aio.Metadata(), grpc.aio.Metadata()) from None

        return call


@dataclass(frozen=True, slots=True)
class Parts:
    """What a verifier is made of: the shipped parts, or one with a bug."""

    cache_type: type[CoherentCache[Any]] = CoherentCache
    calls_type: type[Calls[Any]] = Calls
    following_type: type[Following] = Following
    asking_type: type[Asking] = Asking
    verdicts_type: type[VerdictCalls] = VerdictCalls


class SimulatedProgram:
    """The shipped verifier, as `keyauthority.client.Verifier` puts it together."""

    fault = ""

    def __init__(self, authority: ScriptedAuthority, news: News, parts: Parts) -> None:
        self.answers: dict[int, str] = {}
        self.ended = False
        self._news = news
        self._tasks: list[asyncio.Task[Any]] = []
        self._frozen: list[tuple[int, str]] | None = None
        channel: Any = _Channel(authority)
        stub: Any = VerificationServiceStub(channel)
        self._cache: CoherentCache[Verification] = parts.cache_type(100)
        self._asking = parts.asking_type(
            parts.verdicts_type(stub, METADATA, self._cache, now, 5.0),
            self._cache,
            Accepted(self._cache.entries, 100),
            self._spawn,
            Counters(),
            now,
        )
        self._asking._calls = parts.calls_type()
        self._following = parts.following_type(
            self._cache, stub, METADATA, "simulated", lambda _: None, now
        )

    def start(self) -> None:
        self._spawn(self._following.run())

    def ask(self, question: int, secret: str) -> None:
        if self._frozen is None:
            self._spawn(self._answer(question, secret))
        else:
            self._frozen.append((question, secret))

    def freeze(self) -> None:
        self._frozen = []

    def thaw(self) -> None:
        waiting, self._frozen = self._frozen or [], None
        for question in waiting:
            self.ask(*question)

    def close(self) -> None:
        async def leave() -> None:
            await self._following.leave()
            self.ended = True
            self._news.tell()

        self.stop()
        self._spawn(leave())

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _answer(self, question: int, secret: str) -> None:
        self.answers[question] = await self._verdict(secret)
        self._news.tell()

    async def _verdict(self, secret: str) -> str:
        digest = digest_of(secret)
        hit = self._cache.get(digest, now())
        if hit is not None:
            return hit.verdict.name
        if (
            self._cache.holds_lease(now())
            and not self._cache.foreign_secrets
            and not is_native(secret)
        ):
            return "UNKNOWN"
        try:
            verification = await self._asking.ask(Question(secret, digest, "", suspect=False))
            return verification.verdict.name
        except VerificationUnavailable:
            return "UNAVAILABLE"

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))


@asynccontextmanager
async def simulated(parts: Parts) -> AsyncIterator[Driver]:
    """A driver of the verifier that is made of *parts*."""
    news = News()
    authority = ScriptedAuthority(TOKEN, news)
    program = SimulatedProgram(authority, news, parts)
    program.start()
    try:
        yield Driver(authority, program, news)
    finally:
        program.stop()


def recorded(script: Vector) -> Vector:
    """*script* with what the shipped verifier does in it."""

    async def record() -> Vector:
        async with simulated(Parts()) as driver:
            steps = [await driver.take(step) for step in script.steps]
            return replace(script, steps=tuple(steps))

    return run(record())


if __name__ == "__main__":
    vectors.FILE.write_text("".join(f"{vectors.line(recorded(rule))}\n" for rule in RULES))
