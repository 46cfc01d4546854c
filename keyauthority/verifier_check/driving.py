"""Leads a verifier through the steps of a rule, and sees what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, NoReturn, Protocol, TypeVar

from keyauthority.v1.verification_service_pb2 import SyncRequest
from keyauthority.verifier_check.authority import Call as Held
from keyauthority.verifier_check.authority import Question, ScriptedAuthority
from keyauthority.verifier_check.news import News
from keyauthority.verifier_check.steps import (
    Answer,
    Ask,
    Call,
    Close,
    Freeze,
    Grant,
    Pass,
    RefuseCall,
    RefuseSync,
    Reply,
    Step,
    Sync,
    Thaw,
)

Found = TypeVar("Found")

START: Final = 30.0
"""Seconds until a program that starts sends its first Sync, at most."""

AT_ONCE: Final = 2.5
"""Seconds until the Sync that acknowledges what a reply brought. A verifier sends it at once: this is for
busy machines, and shorter than the lease that a change would wait for (3 s)."""

PATIENCE: Final = 10.0
"""Seconds for everything else that a verifier does."""


class BrokenError(Exception):
    """The verifier does not keep the rule. The message says how that showed."""


class Program(Protocol):
    """A program that has a verifier, and answers questions by it."""

    @property
    def answers(self) -> Mapping[int, str]:
        """The answers so far, by the number of the question."""
        ...

    @property
    def fault(self) -> str:
        """What makes it unfit for a check, such as a line that is no answer; empty if nothing does."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        ...

    def ask(self, question: int, secret: str) -> None:
        """Presents *secret*."""
        ...

    def close(self) -> None:
        """Tells it to end."""
        ...

    def freeze(self) -> None:
        """Stops its process."""
        ...

    def thaw(self) -> None:
        """Lets its process go on."""
        ...


class Driver:
    """One run of a program through the steps of one rule.

    Args:
        authority: What the program's verifier calls.
        program: What has the verifier.
        news: Told of all that either does.
    """

    def __init__(self, authority: ScriptedAuthority, program: Program, news: News) -> None:
        self._authority = authority
        self._program = program
        self._news = news
        self._sync_within = START
        self._sync: Held[SyncRequest] | None = None
        self._call: Held[Question] | None = None
        self._open: dict[int, str] = {}
        """The questions that no step has the answer of yet, and their secrets."""

    async def take(self, step: Step) -> Step:
        """Takes one step; returns what the verifier did in place of what is expected of it.

        Raises `BrokenError` if it did something else, or nothing.
        """
        match step:
            case Sync():
                return await self._synced()
            case Call():
                return await self._called(step)
            case Answer():
                return await self._answered(step)
            case Close():
                return await self._closed(step)
        await self._do(step)
        return step

    async def _do(self, step: Step) -> None:
        match step:
            case Grant() | RefuseSync():
                await self._answer_sync(step)
            case Reply() | RefuseCall():
                self._answer_call(step)
            case Ask():
                self._open[step.question] = step.secret
                self._program.ask(step.question, self._authority.cast.secrets[step.secret])
            case Pass():
                await asyncio.sleep(step.seconds)
            case Freeze():
                self._program.freeze()
            case Thaw():
                self._program.thaw()

    async def _synced(self) -> Sync:
        within = self._sync_within
        self._sync = await self._until(self._authority.newest_sync, within, "sends no Sync")
        self._sync_within = PATIENCE
        claim = self._sync.request
        if claim.session_id not in ("", self._authority.session_id):
            raise BrokenError("goes on with another session than that of the last grant")
        return Sync(claim.session_id == "", claim.epoch, claim.revision)

    async def _answer_sync(self, answer: Grant | RefuseSync) -> None:
        while self._sync is None or self._sync.answer.done():
            await self._synced()
        if isinstance(answer, Grant):
            self._authority.granted(self._sync, answer)
            if _is_news(self._sync.request, answer):
                self._sync_within = AT_ONCE
        else:
            self._sync.answer.set_result(answer)

    async def _called(self, step: Call) -> Call:
        def look() -> Held[Question] | None:
            call = self._authority.question_about(step.secret)
            if call is None:
                self._refuse_answers(step.secret)
            return call

        self._call = await self._until(look, PATIENCE, f"does not ask about {step.secret}")
        request = self._call.request
        return Call(step.secret, request.at_least_revision, request.fresh)

    def _refuse_answers(self, secret: str) -> None:
        for question, about in self._open.items():
            answer = self._program.answers.get(question)
            if about == secret and answer is not None:
                raise BrokenError(f"answers {answer} to question {question} without asking")

    def _answer_call(self, answer: Reply | RefuseCall) -> None:
        if self._call is None or self._call.answer.done():
            raise BrokenError("gives its call up before the answer comes")
        self._call.answer.set_result(answer)

    async def _answered(self, step: Answer) -> Answer:
        secret = self._open[step.question]

        def look() -> str | None:
            call = self._authority.question_about(secret)
            if call is not None:
                if step.cached:
                    raise BrokenError(f"asks about {secret}, which it has in its cache")
                if step.otherwise is not None:
                    call.answer.set_result(step.otherwise)
            return self._program.answers.get(step.question)

        absent = f"does not answer question {step.question}"
        verdict = await self._until(look, PATIENCE, absent)
        del self._open[step.question]
        return replace(step, verdict=verdict)

    async def _closed(self, step: Close) -> Close:
        self._program.close()
        session_id = self._authority.session_id
        ended = await self._news.until(lambda: self._program.ended or None, PATIENCE)
        if ended is None:
            raise BrokenError("does not exit when its standard input ends")
        return replace(step, leaves=session_id in self._authority.left)

    async def _until(self, look: Callable[[], Found | None], within: float, absent: str) -> Found:
        def found() -> Found | None:
            if self._authority.strange:
                raise BrokenError("calls without the token of KEYAUTHORITY_TOKEN")
            if self._program.fault:
                raise BrokenError(self._program.fault)
            return look()

        result = await self._news.until(found, within)
        if result is None:
            raise BrokenError(f"{absent} within {within:g} s")
        return result


def _is_news(claim: SyncRequest, grant: Grant) -> bool:
    joins, new_epoch = claim.session_id == "", claim.epoch != grant.epoch
    return joins or new_epoch or grant.reset or bool(grant.subjects)


def judge(expected: Step, seen: Step) -> None:
    """Compares a step as it was seen with that of the vector. Raises `BrokenError`."""
    if expected == seen:
        return
    match expected, seen:
        case Sync(), Sync():
            _judge_claim(expected, seen)
        case Call(), Call():
            _judge_call(expected, seen)
        case Answer(), Answer():
            raise BrokenError(f"answers {seen.verdict} where {expected.verdict} is right")
        case Close(), Close():
            raise BrokenError("does not end its session by Leave before it exits")
        case _:
            _never(expected, seen)


def _judge_claim(expected: Sync, seen: Sync) -> None:
    if seen.joins != expected.joins:
        raise BrokenError(
            f"{'joins anew' if seen.joins else 'goes on with a session that is over'}"
        )
    if seen.joins and (seen.epoch, seen.revision) == (0, 0):
        # Whoever claims nothing is told to drop everything.
        return
    raise BrokenError(
        f"acknowledges revision {seen.revision} of epoch {seen.epoch}, "
        f"and has applied {expected.revision} of {expected.epoch}"
    )


def _judge_call(expected: Call, seen: Call) -> None:
    if expected.fresh and not seen.fresh:
        raise BrokenError("does not set fresh")
    if not expected.fresh and expected.at_least_revision != seen.at_least_revision:
        raise BrokenError(
            f"asks for at least revision {seen.at_least_revision}, "
            f"and has seen {expected.at_least_revision}"
        )


def _never(expected: Any, seen: Any) -> NoReturn:
    raise AssertionError(f"{seen} is no step like {expected}")
