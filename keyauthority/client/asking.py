"""When the authority is asked about which secret: those accepted before never wait behind others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from keyauthority.client.accepted import Accepted
from keyauthority.client.strangers import Question, Strangers
from keyauthority.client.verdict_calls import Answer, VerdictCalls
from keyauthority.client.verification import Verification, VerificationUnavailable
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.calls import Calls

MAX_CALLS: Final = 64
"""Calls at a time about secrets accepted before, and as many about others one by one.

Under a lease further secrets wait their turn. Without one they are refused."""

MAX_WAITING: Final = 1_000
"""Secrets accepted before that are asked about at a time under a lease, waiting ones included."""

MAX_STRANGERS: Final = 2_000
"""Other secrets that wait under a lease; those of suspect sources have as much room of their own."""

STRANGERS_CALLS: Final = 16
"""Calls at a time about secrets that were not accepted before, many in each."""

SUSPECTS_CALLS: Final = 2
"""Likewise about those of suspect sources: so few that a flood costs little more than the calls."""

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
    """

    def __init__(
        self,
        verdicts: VerdictCalls,
        cache: CoherentCache[Verification],
        accepted: Accepted,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        counters: Counters,
        now: Callable[[], float],
    ) -> None:
        self._verdicts = verdicts
        self._cache = cache
        self._accepted = accepted
        self._spawn = spawn
        self._counters = counters
        self._now = now
        self._calls: Calls[Waiter] = Calls()
        self._places = asyncio.Semaphore(MAX_CALLS)
        self._strangers_places = asyncio.Semaphore(MAX_CALLS)
        self._accepted_waiting = 0
        self._strangers, self._suspects = (
            Strangers(self._ask_strangers, spawn, calls, MAX_STRANGERS)
            for calls in (STRANGERS_CALLS, SUSPECTS_CALLS)
        )

    def ask(self, question: Question) -> Waiter:
        """Returns the future of the verdict, or of `VerificationUnavailable`."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if self._calls.arrive(question.digest, waiter):
            self._begin(question)
        return waiter

    def _begin(self, question: Question) -> None:
        # Counts what has arrived: requests of one moment have not taken their places yet.
        leased = self._cache.holds_lease(self._now())
        if self._accepted.vouches(question.secret, question.digest):
            if self._accepted_waiting < (MAX_WAITING if leased else MAX_CALLS):
                self._accepted_waiting += 1
                self._spawn(self._ask_accepted(question))
                return
        elif leased or len(self._strangers) + len(self._suspects) < MAX_CALLS:
            strangers = self._suspects if question.suspect else self._strangers
            if strangers.join(question):
                return
        waiters = self._calls.end(question.digest)
        self._counters.shed += len(waiters)
        _resolve(waiters, VerificationUnavailable("too many calls under way"))

    async def _ask_accepted(self, question: Question) -> None:
        try:
            await self._ask_alone(question, self._places)
        finally:
            self._accepted_waiting -= 1

    async def _ask_strangers(self, questions: Sequence[Question]) -> None:
        awaited = []
        for question in questions:
            if self._is_awaited(question):
                awaited.append(question)
            else:
                self._answer(question, _ABANDONED)
        if len(awaited) > 1 and await self._ask_together(awaited):
            return
        await asyncio.gather(
            *(self._ask_alone(question, self._strangers_places) for question in awaited)
        )

    async def _ask_together(self, questions: Sequence[Question]) -> bool:
        try:
            answers = await self._verdicts.verdicts(questions)
        except VerificationUnavailable:
            # One secret that can't be judged is enough for that: the others may have verdicts.
            return False
        except Exception as error:  # noqa: BLE001  # nobody may wait for a call that has ended
            _report(error)
            return False
        for question, answer in zip(questions, answers, strict=True):
            self._answer(question, answer)
        return True

    async def _ask_alone(self, question: Question, places: asyncio.Semaphore) -> None:
        answer: Answer = _ABANDONED
        try:
            async with places:
                if self._is_awaited(question):
                    answer = await self._verdicts.verdict(question)
        except VerificationUnavailable as outage:
            answer = outage
        except Exception as error:  # noqa: BLE001  # nobody may wait for a call that has ended
            _report(error)
            answer = VerificationUnavailable("internal error")
        self._answer(question, answer)

    def _is_awaited(self, question: Question) -> bool:
        # If all who asked have given up, the place is for a question that somebody waits for.
        return any(not waiter.done() for waiter in self._calls.running(question.digest))

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
            _resolve(self._calls.end(digest), hit)


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
