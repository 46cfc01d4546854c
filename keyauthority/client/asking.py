"""When the authority is asked about which secret: those accepted before never wait behind others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from keyauthority.client.accepted import Accepted
from keyauthority.client.lines import BATCH, Batches, Question
from keyauthority.client.verdict_calls import Answer, VerdictCalls
from keyauthority.client.verification import Verification, VerificationUnavailable
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.calls import Calls

WAITING: Final = 10_000
"""Secrets of each kind that wait at a time: a gateway with 5,000 keys in use may start cold, or lose
its lease, and refuses none of them. Half of the room is for the secrets of one source."""

ACCEPTED_CALLS: Final = 16
"""Calls at a time about secrets accepted before, many in each."""

STRANGERS_CALLS: Final = 8
"""Likewise about other secrets."""

SUSPECTS_CALLS: Final = 2
"""Likewise about those of suspect sources: so few that a flood costs little more than the calls."""

CALLS_ALONE: Final = 64
"""Calls at a time, for each of the three kinds, about one secret each of a call that failed."""

_ABANDONED: Final = VerificationUnavailable("nobody waits any more")

Waiter = asyncio.Future[Verification]


@dataclass(slots=True)
class Counters:
    """What a verifier did so far.

    `hits` were answered from the cache, `misses` were not; of these, `shed` were refused at once for
    want of room, and `unavailable` got no verdict for whatever reason.
    """

    hits: int = 0
    misses: int = 0
    shed: int = 0
    unavailable: int = 0


class Asking:
    """Answers all who ask about one secret together, and asks about secrets in turn.

    Args:
        verdicts: Asks the authority.
        cache: Holds the verdicts that came meanwhile.
        accepted: Tells secrets that were accepted before from others.
        spawn: Runs a coroutine as a task.
        counters: Counts the requests that are refused for want of room.
        now: The clock of the lease.
        waiting: Secrets of each kind that wait at a time.
        batch: Secrets in one call, at most.
    """

    def __init__(
        self,
        verdicts: VerdictCalls,
        cache: CoherentCache[Verification],
        accepted: Accepted,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        counters: Counters,
        now: Callable[[], float],
        *,
        waiting: int = WAITING,
        batch: int = BATCH,
    ) -> None:
        self._verdicts = verdicts
        self._cache = cache
        self._accepted = accepted
        self._spawn = spawn
        self._counters = counters
        self._now = now
        self._calls: Calls[Waiter] = Calls()
        self._known, self._strangers, self._suspects = (
            Batches(
                partial(self._ask, asyncio.Semaphore(CALLS_ALONE)), spawn, calls, waiting, batch
            )
            for calls in (ACCEPTED_CALLS, STRANGERS_CALLS, SUSPECTS_CALLS)
        )

    def ask(self, question: Question) -> Waiter:
        """Returns the future of the verdict, or of `VerificationUnavailable`."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if self._calls.arrive(question.digest, waiter):
            self._begin(question)
        return waiter

    def _begin(self, question: Question) -> None:
        if not self._batches_of(question).join(question):
            waiters = self._calls.withdraw(question.digest)
            self._counters.shed += len(waiters)
            _resolve(waiters, VerificationUnavailable("too many secrets wait for a verdict"))

    def _batches_of(self, question: Question) -> Batches:
        if self._accepted.vouches(question.secret, question.digest):
            return self._known
        return self._suspects if question.suspect else self._strangers

    async def _ask(self, places: asyncio.Semaphore, questions: Sequence[Question]) -> None:
        unjudged = await self._ask_together(questions)
        await asyncio.gather(*(self._ask_alone(places, question) for question in unjudged))

    async def _ask_alone(self, places: asyncio.Semaphore, question: Question) -> None:
        async with places:
            await self._ask_together([question])

    async def _ask_together(self, questions: Sequence[Question]) -> Sequence[Question]:
        """Asks about *questions* in one call; returns those that have to be asked about alone."""
        awaited = []
        for question in questions:
            waiters = self._calls.send(question.digest)
            # If all who asked have given up, the place is for a question that somebody waits for.
            if all(waiter.done() for waiter in waiters):
                self._answer(question, _ABANDONED)
            else:
                awaited.append(question)
        if not awaited:
            return ()
        try:
            answers = await self._verdicts.verdicts(awaited)
        except Exception as error:  # noqa: BLE001  # nobody may wait for a call that has ended
            _report(error)
            answers = [VerificationUnavailable("internal error")] * len(awaited)
        if answers is None:
            return awaited
        for question, answer in zip(awaited, answers, strict=True):
            self._answer(question, answer)
        return ()

    def _answer(self, question: Question, answer: Answer) -> None:
        # The call answers those who came before it. Those who came meanwhile wait for the next one.
        digest = question.digest
        if isinstance(answer, Verification):
            self._accepted.note(digest, answer)
        _resolve(self._calls.end(digest), answer)
        if not self._calls.proceed(digest):
            return
        # Only now: a look into the cache counts as a use, which keeps the verdict for longer.
        hit = self._cache.get(digest, self._now())
        if hit is None:
            self._begin(question)
        else:
            _resolve(self._calls.withdraw(digest), hit)


def _resolve(waiters: Iterable[Waiter], answer: Answer) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if isinstance(answer, Exception):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)


def _report(error: Exception) -> None:
    context = {"message": "no verdict because of an error", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
