"""One simulated verifier: the shipped cache and calls, run as `keyauthority.client` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from keyauthority.coherence.cache import Ask, SyncCall
from keyauthority.domain.sessions import Grant
from tests.coherence.history import SECRETS, History
from tests.coherence.simulated_books import LEASE, Given, Parts
from tests.coherence.simulated_process import Known, Process, apply
from tests.coherence.virtual import Machine, Network, Timeline


@dataclass(slots=True)
class Request:
    """One who waits, and since when in true time."""

    arrived: float


class Verifier(Machine):
    """Answers requests, from its cache where it can."""

    def __init__(
        self,
        timeline: Timeline,
        random: Random,
        parts: Parts,
        processes: Sequence[Process],
        history: History,
        number: int,
        capacity: int,
    ) -> None:
        super().__init__(timeline, random)
        self.parts = parts
        self.number = number
        self._capacity = capacity
        self._timeout = random.choice((0.3, 2.5))
        self._processes = processes
        self._history = history
        self.network = Network(timeline, random, 1.5 * LEASE)

    def start(self) -> None:
        self._history.forgotten(self.number)
        self.cache = self.parts.cache_type(self._capacity)
        self.calls = self.parts.calls_type()
        self.running: dict[str, Ask] = {}
        self._follow()

    def restart(self, *, leaving: bool) -> None:
        if leaving:
            session_id = self.cache.session_id
            if self.parts.wrong != "Leave first":
                session_id = self.cache.leave()
            self._send(lambda process: process.leave(session_id))
        if leaving and self.parts.wrong == "Leave first":
            return
        self.crash()
        self.start()

    def _send(self, work: object) -> None:
        process = self.random.choice(self._processes)
        self.network.send(process, work, process)  # type: ignore[arg-type]

    # --- following

    def _follow(self) -> None:
        call = self.cache.begin_sync(self.now())
        life = self._life

        def reply(grant: Grant | None) -> None:
            if life == self._life:
                self.network.send(self, self._take, call, grant)

        self._send(lambda process: process.sync(call, reply))
        self.after(LEASE / 2, self._again, call)

    def _again(self, call: SyncCall) -> None:
        if self.cache.is_current(call) and call.number == self.cache._syncs:
            self._follow()

    def _take(self, call: SyncCall, grant: Grant | None) -> None:
        current = self.cache.is_current(call)
        if grant is None:
            self.cache.session_gone(call)
        else:
            apply(self.parts, self.cache, call, grant, self.now())
        if current:
            self._follow()

    # --- requests

    def request(self, secret: str) -> None:
        request = Request(self.timeline.time)
        hit = self.cache.get(secret.encode(), self.now())
        if hit is not None:
            self._history.counts["hits"] += 1
            self._answer(secret, hit, [request])
        elif self.calls.arrive(secret.encode(), request):
            self._run(secret)

    def _run(self, secret: str) -> None:
        self.calls.send(secret.encode())
        self._ask(secret)
        self.after(self._timeout, self._give_up, secret, self.running[secret])

    def _ask(self, secret: str) -> None:
        ask = self.cache.ask(self.now())
        self.running[secret] = ask
        life = self._life

        def reply(given: Given) -> None:
            if life == self._life:
                self.network.send(self, self._hear, secret, ask, given)

        self._send(lambda process: process.verify(secret, ask, reply))

    def _hear(self, secret: str, ask: Ask, given: Given) -> None:
        if self.running.get(secret) is not ask:
            return
        if not self.cache.stands(ask, given.head):
            self._ask(secret)
            return
        known = Known(secret, given, ask.sent + given.left)
        kept = self.cache.keep(ask, secret.encode(), known, whole_key=known.whole)
        # The key's other secrets are not remembered over a restore that takes the revocation back.
        if kept is known and known.whole and given.head.epoch == self._history.epoch:
            self._history.refused(self.number, SECRETS[secret], self.timeline.time)
        self._end(secret, kept)

    def _give_up(self, secret: str, ask: Ask) -> None:
        running = self.running.get(secret)
        if running is not None and running.sent <= ask.sent + self._timeout and running is ask:
            self._end(secret, None)
        elif running is not None and running.sent - ask.sent < self._timeout:
            self.after(self._timeout / 4, self._give_up, secret, running)

    def _end(self, secret: str, answer: Known | None) -> None:
        digest = secret.encode()
        del self.running[secret]
        ended = self.calls.end(digest)
        if answer is not None:
            self._answer(secret, answer, ended)
        if not self.calls.proceed(digest):
            return
        hit = self.cache.get(digest, self.now())
        if hit is None:
            self._run(secret)
        else:
            self._answer(secret, hit, self.calls.withdraw(digest))

    def _answer(self, secret: str, answer: Known, requests: Sequence[Request]) -> None:
        time = self.timeline.time
        for request in requests:
            self._history.answered(self.number, secret, answer.verdict, request.arrived, time)
        if answer.verdict == "REVOKED" and requests:
            self._history.refused(self.number, secret, time)
