"""Who is asked about when: secrets that were accepted before never wait behind others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from keyauthority.client.accepted import Accepted
from keyauthority.client.strangers import Question, Strangers
from keyauthority.client.verification import Verification, VerificationUnavailable
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.calls import Calls

MAX_CALLS: Final = 64
"""Secrets that were accepted before and are asked about at a time, and others at a time.

Under a lease further ones wait their turn, else they are refused."""

MAX_WAITING: Final = 1_000
"""Secrets asked for at a time under a lease that were accepted before, those in line included."""

MAX_STRANGERS: Final = 2_000
"""Others that wait under a lease: one source has half of the room, and leaves some for the next.

Suspect ones have as much room of their own."""

STRANGERS_CALLS: Final = 16
"""Calls under way at a time about secrets that were not accepted before, many in each."""

SUSPECTS_CALLS: Final = 2
"""Likewise about those of suspect sources: so few that a flood costs little more than they."""

_UNWANTED: Final = VerificationUnavailable("nobody waits any more")

Answer = Verification | VerificationUnavailable
Waiter = asyncio.Future[Verification]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Asking:
    """Keeps those who ask about the same secret together, and has their questions asked in turn.

    Args:
        verdict: Asks about one secret. May raise `VerificationUnavailable`.
        verdicts: Asks about several in one call; raises it if there is no answer to any.
        cache: Where what is found meanwhile is taken from.
        accepted: Tells who is no stranger.
        spawn: Runs something on its own.
        shed: Counts those who are refused for want of room.
        now: The clock of the lease.
    """

    def __init__(
        self,
        verdict: Callable[[Question], Awaitable[Verification]],
        verdicts: Callable[[Sequence[Question]], Awaitable[list[Answer]]],
        cache: CoherentCache[Verification],
        accepted: Accepted,
        spawn: Spawn,
        shed: Callable[[int], None],
        now: Callable[[], float],
    ) -> None:
        self._verdict = verdict
        self._verdicts = verdicts
        self._cache = cache
        self._accepted = accepted
        self._spawn = spawn
        self._shed = shed
        self._now = now
        self._calls: Calls[Waiter] = Calls()
        self._places = asyncio.Semaphore(MAX_CALLS)
        self._places_apart = asyncio.Semaphore(MAX_CALLS)
        self._known = 0
        self._strangers, self._suspects = (
            Strangers(self._ask_strangers, spawn, calls, MAX_STRANGERS)
            for calls in (STRANGERS_CALLS, SUSPECTS_CALLS)
        )

    def ask(self, question: Question) -> Waiter:
        """What will have the verdict, or `VerificationUnavailable`."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if self._calls.arrive(question.digest, waiter):
            self._begin(question)
        return waiter

    def _begin(self, question: Question) -> None:
        # Counted by what has arrived: those of one moment have not taken their places yet.
        leased = self._cache.holds_lease(self._now())
        if self._accepted.vouches(question.secret, question.digest):
            if self._known < (MAX_WAITING if leased else MAX_CALLS):
                self._known += 1
                self._spawn(self._ask_known(question))
                return
        elif leased or len(self._strangers) + len(self._suspects) < MAX_CALLS:
            strangers = self._suspects if question.suspect else self._strangers
            if strangers.join(question):
                return
        waiters = self._calls.end(question.digest)
        self._shed(len(waiters))
        _tell(waiters, VerificationUnavailable("too many calls under way"))

    async def _ask_known(self, question: Question) -> None:
        try:
            await self._ask_alone(question, self._places)
        finally:
            self._known -= 1

    async def _ask_strangers(self, questions: Sequence[Question]) -> None:
        wanted = []
        for question in questions:
            if self._is_wanted(question):
                wanted.append(question)
            else:
                self._answered(question, _UNWANTED)
        if len(wanted) > 1 and await self._ask_together(wanted):
            return
        await asyncio.gather(*(self._ask_alone(one, self._places_apart) for one in wanted))

    async def _ask_together(self, questions: Sequence[Question]) -> bool:
        try:
            answers = await self._verdicts(questions)
        except VerificationUnavailable:
            # It may be for one of them alone, which can't be judged.
            return False
        except Exception as error:  # noqa: BLE001  # nobody may wait for what has failed
            _report(error)
            return False
        for question, answer in zip(questions, answers, strict=True):
            self._answered(question, answer)
        return True

    async def _ask_alone(self, question: Question, places: asyncio.Semaphore) -> None:
        answer: Answer = _UNWANTED
        try:
            async with places:
                if self._is_wanted(question):
                    answer = await self._verdict(question)
        except VerificationUnavailable as outage:
            answer = outage
        except Exception as error:  # noqa: BLE001  # nobody may wait for what has failed
            _report(error)
            answer = VerificationUnavailable("internal error")
        self._answered(question, answer)

    def _is_wanted(self, question: Question) -> bool:
        # If they gave up while it was in line, its place is for who still waits.
        return any(not waiter.done() for waiter in self._calls.running(question.digest))

    def _answered(self, question: Question, answer: Answer) -> None:
        # One call, for all who waited for it; then the next one, for those who came meanwhile.
        digest = question.digest
        if isinstance(answer, Verification):
            self._accepted.note(digest, answer)
        _tell(self._calls.end(digest), answer)
        if not self._calls.proceed(digest):
            return
        # Looked for only if wanted: what is found counts as used, and is kept for longer.
        hit = self._cache.get(digest, self._now())
        if hit is None:
            self._begin(question)
        else:
            _tell(self._calls.end(digest), hit)


def _tell(waiters: Iterable[Waiter], answer: Answer) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if isinstance(answer, Exception):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)


def _report(error: Exception) -> None:
    told = {"message": "no verdict because of an error", "exception": error}
    asyncio.get_running_loop().call_exception_handler(told)
