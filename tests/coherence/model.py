"""A model of the whole protocol around the shipped machines: verifiers, authority, a bad network.

Time goes in ticks of a true second. The clocks are as wrong as they may be: those of verifiers slow,
those of processes fast (or slow, where their own lease matters). All that is under way may arrive in
any order, late or never; anything may pause for as long as it likes, by not being what happens next.

The promises, for requests that do not overlap with the change: an answer has to be right for some
state of the books between the newest change whose caller knows it is made (or that is older than W)
when the request arrived, and the one when it was answered. That is promises 1, 2 and 3; 5 for a
verifier without a cache counts from the newest change at all; 4 is remembered for each verifier.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from keyauthority.coherence.book import SessionBook
from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.claims import credited
from keyauthority.coherence.fence import Fence
from keyauthority.coherence.janitor import Janitor
from keyauthority.coherence.leases import RATE_ERROR, wait_out
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.revisions import Claim, Head
from keyauthority.domain.sessions import REPLICA, Grant
from keyauthority.replica.syncing import _is_news
from keyauthority.storage.sql import grants
from tests.coherence.scenarios import Scenario, subject_of
from tests.coherence.world import (
    KEY_OF,
    NEVER,
    Answer,
    Answered,
    Books,
    BookState,
    Cache,
    CacheState,
    Committing,
    Given,
    Leaving,
    OpenFence,
    Process,
    Question,
    Reading,
    Recording,
    SyncAnswered,
    SyncSent,
    Waiter,
    World,
    book_asleep,
    cache_asleep,
    calls_asleep,
    judged,
    wake_book,
    wake_cache,
    wake_calls,
)

SLOW, FAST = 1 - RATE_ERROR, 1 + RATE_ERROR
FIRST_REVISION = 1

Step = tuple[str, World, str]


class Model:
    """The correct protocol. A seeded bug is a subclass that overrides one thing."""

    cache_type: type[Cache] = CoherentCache[Answer]
    book_type: type[SessionBook] = SessionBook
    fence_type: type[Fence] = Fence
    janitor_type: type[Janitor] = Janitor
    calls_type: type[Calls[Waiter]] = Calls[Waiter]
    unknown_holds_for = 0.0
    alarms_count = True

    def __init__(self, scenario: Scenario) -> None:
        self.has = scenario
        self.wait = self.wait_out(scenario.longest)
        self.bound = math.ceil(self.wait / FAST)
        self.begun_sync = cache(self._begin_sync)
        self.taken = cache(self._take)
        self.asked = cache(self._ask)
        self.told = cache(self._tell)
        self.hit = cache(self._hit)
        self.known = cache(self._known)
        self.read_at_process = cache(self._read_at_process)
        self.granted = cache(self._grant)
        self.aged = cache(self._age)
        self.parted = cache(self._part)
        self.standing = cache(self._standing)

    # --- who and when

    def wait_out(self, lease: float) -> float:
        return wait_out(timedelta(seconds=lease))

    def clock(self, world: World, follower: int) -> float:
        """The time by a follower's own clock; processes follow the verifiers in number."""
        if self.has.expires is not None:
            return float(world.tick)
        process = follower - self.has.verifiers
        return world.tick * (FAST if process == 0 else SLOW)

    def process_clock(self, world: World, process: int) -> float:
        return self.clock(world, self.has.verifiers + process)

    def caller(self, follower: int) -> str:
        return f"caller{follower}" if follower < self.has.verifiers else REPLICA

    def first(self) -> World:
        world = self.fresh_world()
        for wanted in self.has.begins:
            world = next(after for label, after, _ in self.steps(world) if wanted in label)
        return world

    def fresh_world(self) -> World:
        has = self.has
        followers = has.verifiers + has.processes
        revision = FIRST_REVISION + has.lost
        books = Books(1, revision, (), has.facts, has.lease, has.longest, None, False)
        uncached = CacheState(left=has.fresh or has.plain)
        caches = tuple(uncached if i < has.verifiers else CacheState() for i in range(followers))
        return World(
            tick=0,
            books=books,
            book=BookState(),
            ids=0,
            caches=caches,
            calls=(((), ()),) * has.verifiers,
            processes=(Process(),) * has.processes,
            net=frozenset(),
            begun=0,
            misfortunes=has.misfortunes,
            fences=(),
            versions=((has.facts, 0),),
            returned=0,
            refused=(frozenset(),) * has.verifiers,
        )

    # --- what may happen

    def steps(self, world: World) -> Iterator[Step]:
        if world.tick < self.has.ticks:
            yield self.tick(world)
        yield from self.verifiers_act(world)
        yield from self.messages_arrive(world)
        yield from self.processes_act(world)

    def tick(self, world: World) -> Step:
        tick = world.tick + 1
        returned = world.returned
        for version in range(returned + 1, len(world.versions)):
            if world.versions[version][1] + self.bound <= tick:
                returned = version
        world = world._replace(tick=tick, returned=returned)
        caches = tuple(
            self.aged(state, self.clock(world, follower))
            for follower, state in enumerate(world.caches)
        )
        return "a second passes", world._replace(caches=caches), ""

    def verifiers_act(self, world: World) -> Iterator[Step]:
        for follower in self.followers():
            state = world.caches[follower]
            if not state.left and self.may_sync(world, follower):
                yield from self.send_sync(world, follower)
            if follower >= self.has.verifiers:
                continue
            for secret in self.has.secrets:
                yield from self.request(world, follower, secret)
            if "leave" in self.has.may and not state.left and state.session_id:
                yield self.leave(world, follower)
            if "restart" in self.has.may and world.misfortunes:
                yield self.restart_verifier(world, follower)

    def followers(self) -> range:
        return range(self.has.verifiers + (self.has.processes if self.has.own_caches else 0))

    # --- Sync, at the verifier

    def may_sync(self, world: World, follower: int) -> bool:
        own = follower >= self.has.verifiers
        if own and world.processes[follower - self.has.verifiers].state != "up":
            return False
        if world.caches[follower].syncs >= (self.has.own_syncs if own else self.has.syncs):
            return False
        under_way = sum(
            isinstance(one, SyncSent | SyncAnswered | Recording) and one.follower == follower
            for one in world.net
        )
        return under_way < (1 if own else self.has.under_way)

    def send_sync(self, world: World, follower: int) -> Iterator[Step]:
        state, call = self.begun_sync(world.caches[follower], self.clock(world, follower))
        message = SyncSent(follower, call, False)
        world = self.sent(self.with_cache(world, follower, state), message)
        label = f"{self.name(follower)} sends Sync {call.number}, claiming {call.claim.revision}"
        if "slow" in self.has.may:
            yield label, world, ""
            return
        for process in self.serving(world, follower):
            for then, after, broken in self.sync(world, message, process):
                yield f"{label}; {then}", after, broken

    def _begin_sync(self, state: CacheState, now: float) -> tuple[CacheState, SyncCall]:
        cache_now = wake_cache(state, self.cache_type)
        call = self.begin_sync(cache_now, now)
        return cache_asleep(cache_now, now), call

    def begin_sync(self, cache_now: Cache, now: float) -> SyncCall:
        return cache_now.begin_sync(now)

    def take_sync(self, world: World, message: SyncAnswered) -> Step:
        follower, now = message.follower, self.clock(world, message.follower)
        state = self.taken(world.caches[follower], message.call, message.grant, message.gone, now)
        world = self.with_cache(self.arrived(world, message), follower, state)
        told = f"head {message.grant.head.revision}" if message.grant else message.gone
        return f"{self.name(follower)} hears of Sync {message.call.number}: {told}", world, ""

    def _take(
        self, state: CacheState, call: SyncCall, grant: Grant | None, gone: str, now: float
    ) -> CacheState:
        cache_now = wake_cache(state, self.cache_type)
        if grant is not None:
            self.take(cache_now, call, grant, now)
        elif gone == "session gone":
            cache_now.session_gone(call)
        else:
            cache_now.lose_lease()
        return cache_asleep(cache_now, now)

    def take(self, cache_now: Cache, call: SyncCall, grant: Grant, now: float) -> None:
        cache_now.apply(
            call,
            grant.session_id,
            grant.head,
            grant.subjects,
            grant.lease.total_seconds(),
            foreign_secrets=grant.foreign_secrets,
        )

    # --- requests, at the verifier

    def request(self, world: World, follower: int, secret: str) -> Iterator[Step]:
        if self.hit(world.caches[follower], secret, self.clock(world, follower)):
            return
        calls = wake_calls(world.calls[follower], self.calls_type)
        if sum(
            len(some) for each in world.calls[follower] for one, some in each if one == secret
        ) >= (self.has.waiters):
            return
        waiter = self.waiter(world, follower, secret)
        asks = calls.arrive(secret.encode(), waiter)
        world = world._replace(calls=self.replaced(world.calls, follower, calls_asleep(calls)))
        label = f"a request with secret {secret} comes to {self.name(follower)}"
        if not asks:
            yield label, world, ""
            return
        sent = self.send_question(world, follower, secret)
        if "slow" in self.has.may:
            yield label, sent, ""
            return
        [question] = sent.net - world.net
        assert isinstance(question, Question)
        for process in range(self.has.processes):
            for then, after, broken in self.verify(sent, question, process):
                yield f"{label}; {then}", after, broken

    def waiter(self, world: World, follower: int, secret: str) -> Waiter:
        """What a request that arrives now has to be answered by."""
        version = len(world.versions) - 1 if self.has.fresh else world.returned
        refused = bool({secret, KEY_OF[secret]} & world.refused[follower])
        return Waiter(version, refused, world.tick if self.has.expires is not None else 0)

    def send_question(self, world: World, follower: int, secret: str) -> World:
        ask = self.asked(world.caches[follower], self.clock(world, follower))
        return self.sent(world, Question(follower, secret, ask))

    def _ask(self, state: CacheState, now: float) -> Ask:
        return self.ask(wake_cache(state, self.cache_type), now)

    def ask(self, cache_now: Cache, now: float) -> Ask:
        ask = cache_now.ask(now)
        return replace(ask, fresh=False) if self.has.plain and cache_now._left else ask

    def _hit(self, state: CacheState, secret: str, now: float) -> str:
        cache_now = wake_cache(state, self.cache_type)
        if secret == "foreign" and cache_now.holds_lease(now) and not cache_now.foreign_secrets:
            return "UNKNOWN"
        hit = cache_now.get(secret.encode(), now)
        return "" if hit is None else hit.verdict

    def hear(self, world: World, message: Answered) -> Step:
        (follower, secret, ask), given = message
        now = self.clock(world, follower)
        state, verdict, whole = self.told(world.caches[follower], ask, secret, given, now)
        world = self.with_cache(self.arrived(world, message), follower, state)
        label = f"{self.name(follower)} hears that {secret} is {given.verdict} at {given.revision}"
        if not verdict:
            return f"{label}, asks again", self.send_question(world, follower, secret), ""
        world, broken = self.answer(world, follower, secret, verdict, whole=whole)
        return label, world, broken

    def _tell(
        self, state: CacheState, ask: Ask, secret: str, given: Given, now: float
    ) -> tuple[CacheState, str, bool]:
        cache_now = wake_cache(state, self.cache_type)
        if not self.stands(cache_now, ask, Head(given.epoch, given.revision)):
            return cache_asleep(cache_now, now), "", False
        answer = self.answer_of(secret, ask, given, now)
        kept = self.keep(cache_now, ask, secret, answer)
        return cache_asleep(cache_now, now), kept.verdict, kept.whole

    def stands(self, cache_now: Cache, ask: Ask, head: Head) -> bool:
        return cache_now.stands(ask, head)

    def answer_of(self, secret: str, ask: Ask, given: Given, now: float) -> Answer:
        return Answer(secret, given.verdict, ask.sent + given.left, whole=given.whole)

    def keep(self, cache_now: Cache, ask: Ask, secret: str, answer: Answer) -> Answer:
        return cache_now.keep(ask, secret.encode(), answer, whole_key=answer.whole)

    def answer(
        self, world: World, follower: int, secret: str, verdict: str, *, whole: bool
    ) -> tuple[World, str]:
        calls, digest = wake_calls(world.calls[follower], self.calls_type), secret.encode()
        broken = ""
        for waiter in calls.end(digest):
            broken = broken or self.wrong(world, secret, verdict, waiter)
        if verdict == "REVOKED" and not self.has.plain:
            refused = world.refused[follower] | {KEY_OF[secret] if whole else secret}
            world = world._replace(refused=self.replaced(world.refused, follower, refused))
        if self.hit(world.caches[follower], secret, self.clock(world, follower)):
            # Judged as any hit is, in `broken`.
            calls.waiting(digest)
        again = calls.proceed(digest)
        world = world._replace(calls=self.replaced(world.calls, follower, calls_asleep(calls)))
        return (self.send_question(world, follower, secret) if again else world), broken

    # --- the end of a verifier

    def leave(self, world: World, follower: int) -> Step:
        state, session_id = self.parted(world.caches[follower], self.clock(world, follower))
        world = self.sent(self.with_cache(world, follower, state), Leaving(follower, session_id))
        return f"{self.name(follower)} leaves", world, ""

    def _part(self, state: CacheState, now: float) -> tuple[CacheState, str]:
        cache_now = wake_cache(state, self.cache_type)
        session_id = self.part(cache_now)
        return cache_asleep(cache_now, now), session_id

    def part(self, cache_now: Cache) -> str:
        return cache_now.leave()

    def restart_verifier(self, world: World, follower: int) -> Step:
        old = world.caches[follower]
        world = self.with_cache(world, follower, self.reborn(old))
        net = frozenset(
            one
            for one in world.net
            if not (
                (type(one) is SyncAnswered and one.follower == follower)
                or (type(one) is Question and one.follower == follower)
                or (type(one) in (Answered, Reading) and one[0].follower == follower)
            )
        )
        calls = self.replaced(world.calls, follower, ((), ()))
        world = world._replace(net=net, calls=calls, misfortunes=world.misfortunes - 1)
        return f"{self.name(follower)} starts anew", world, ""

    def reborn(self, old: CacheState) -> CacheState:
        return CacheState(syncs=old.syncs, left=self.has.fresh or self.has.plain)

    # --- what arrives

    def messages_arrive(self, world: World) -> Iterator[Step]:  # noqa: C901 - a table
        for message in world.net:
            match message:
                case SyncSent():
                    for process in self.serving(world, message.follower):
                        yield from self.sync(world, message, process)
                case Recording():
                    yield self.record(world, message)
                case SyncAnswered():
                    yield self.take_sync(world, message)
                case Question():
                    for process in range(self.has.processes):
                        yield from self.verify(world, message, process)
                case Reading():
                    yield from self.finish_reading(world, message)
                case Answered():
                    yield self.hear(world, message)
                case Leaving():
                    yield self.left(world, message)
                case Committing():
                    yield self.commit(
                        self.arrived(world, message),
                        message.process,
                        message.change,
                        message.began,
                    )

    def serving(self, world: World, follower: int) -> Iterator[int]:
        """Processes that can write the books for this follower; the first stands for all."""
        own = follower - self.has.verifiers
        for number, process in enumerate(world.processes):
            if process.state == "up" and process.frozen is None and own in (number, -1, -2):
                yield number
                return

    # --- Sync, at the authority

    def sync(self, world: World, message: SyncSent, process: int) -> Iterator[Step]:
        label = f"Sync {message.call.number} of {self.name(message.follower)}"
        begun = self.begin_grant(self.arrived(world, message), message)
        if isinstance(begun[1], str):
            gone = SyncAnswered(message.follower, message.call, None, begun[1])
            yield f"{label} is refused", self.sent(begun[0], gone), ""
            return
        if "split sync" in self.has.may:
            yield f"{label} is in the books", self.sent(*begun), ""
            return
        after = self.record(self.sent(*begun), begun[1])[1]
        if "hold" in self.has.may and not message.held and message.call.session_id:
            grant = next(
                one.grant
                for one in after.net
                if type(one) is SyncAnswered and one.call is message.call
            )
            if grant is not None and not _is_news(grant, message.call.claim):
                held = self.sent(begun[0], message._replace(held=True))
                held = held._replace(book=after.book)
                yield f"{label} is held", held, ""
        yield f"{label} is answered", after, ""

    def begin_grant(self, world: World, message: SyncSent) -> tuple[World, Recording | str]:
        book = wake_book(world.book, self.book_type)
        caller, session_id, ids = self.caller(message.follower), message.call.session_id, world.ids
        if not session_id:
            ids, session_id = self.join(book, caller, ids)
        elif not book.beat(session_id, caller):
            return world, "session gone"
        world = world._replace(book=book_asleep(book), ids=ids)
        return world, Recording(message.follower, message.call, session_id, None)

    def join(self, book: SessionBook, caller: str, ids: int) -> tuple[int, str]:
        session_id = f"session{ids + 1}"
        book.join(session_id, caller)
        return ids + 1, session_id

    def record(self, world: World, message: Recording) -> Step:
        """Reads what is granted, then writes down the claim."""
        caller = self.caller(message.follower)
        grant = self.granted(world.books, message.session_id, caller, message.call.claim)
        book, gone = wake_book(world.book, self.book_type), ""
        if message.session_id not in book:
            grant, gone = None, "session gone"
        elif grant is None:
            gone = "caller refused"
            if not message.call.session_id:
                book.leave(message.session_id, caller)
        else:
            book.acknowledge(message.session_id, self.credit(message.call, grant.head))
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        label = f"Sync {message.call.number} of {self.name(message.follower)} is granted"
        answered = SyncAnswered(message.follower, message.call, grant, gone)
        return label, self.sent(world, answered), ""

    def credit(self, call: SyncCall, head: Head) -> int:
        return credited(call.claim, head)

    def _grant(self, books: Books, session_id: str, caller: str, claim: Claim) -> Grant | None:
        known = caller if caller == REPLICA or self.accepts(books, caller) else None
        rows = self.rows(books, known, claim)
        try:
            return self.grant(rows, session_id, caller, claim)
        except KeyAuthorityError:
            return None

    def accepts(self, books: Books, caller: str) -> bool:
        return f"{caller} revoked" not in books.facts

    def rows(self, books: Books, known: str | None, claim: Claim) -> list[tuple[Any, ...]]:
        oldest = books.changes[0][0] if books.changes else None
        found: list[tuple[int | None, str | None]] = [
            each for each in books.changes if each[0] > claim.revision
        ]
        fixed = (
            books.epoch,
            books.revision,
            round(1000 * books.lease),
            round(1000 * books.longest),
            books.settling is not None,
            bool({"imported", "foreign"} & books.facts),
            known,
            None,
            oldest,
        )
        return [(*fixed, revision, subject) for revision, subject in found or [(None, None)]]

    def grant(
        self, rows: list[tuple[Any, ...]], session_id: str, caller: str, claim: Claim
    ) -> Grant:
        return grants.grant(rows, session_id, caller, claim)

    def left(self, world: World, message: Leaving) -> Step:
        book = wake_book(world.book, self.book_type)
        book.leave(message.session_id, self.caller(message.follower))
        world = self.arrived(world, message)._replace(book=book_asleep(book))
        return f"Leave of {message.session_id} arrives", world, ""

    # --- Verify, at the authority

    def verify(self, world: World, message: Question, process: int) -> Iterator[Step]:
        if world.processes[process].state == "down":
            return
        follower, now = self.has.verifiers + process, self.process_clock(world, process)
        state, label = world.caches[follower], f"process {process} answers"
        if self.has.own_caches:
            known = self.known(state, message.secret, message.ask, now)
            if known is not None:
                answered = Answered(message, self.reported(known, world.books))
                yield (
                    f"{label} from its cache",
                    self.sent(self.arrived(world, message), answered),
                    "",
                )
                return
        books = world.processes[process].frozen or world.books
        given = self.judge(books, message.secret, world.tick)
        if given.revision < message.ask.at_least:
            return
        reading = Reading(message, process, self.asked(state, now), given)
        world = self.arrived(world, message)
        if "split read" in self.has.may:
            yield f"process {process} reads {message.secret}", self.sent(world, reading), ""
        else:
            for _, after, broken in self.finish_reading(self.sent(world, reading), reading):
                yield label, after, broken

    def judge(self, books: Books, secret: str, tick: int) -> Given:
        verdict, left = self.judged_at(secret, books.facts, tick), math.inf
        if verdict == "UNKNOWN":
            left = self.unknown_holds_for
        elif verdict == "VALID" and self.has.expires is not None:
            left = float(self.has.expires - tick)
        whole = f"{KEY_OF[secret]} revoked" in books.facts and verdict == "REVOKED"
        return Given(verdict, whole, books.epoch, books.revision, left)

    def judged_at(self, secret: str, facts: frozenset[str], tick: int) -> str:
        verdict = judged(secret, facts)
        expires = self.has.expires
        return (
            "EXPIRED" if verdict == "VALID" and expires is not None and tick >= expires else verdict
        )

    def finish_reading(self, world: World, message: Reading) -> Iterator[Step]:
        question, process, ask, given = message
        follower, now = self.has.verifiers + process, self.process_clock(world, process)
        if self.has.own_caches:
            state, silent = self.read_at_process(
                world.caches[follower], ask, question.secret, given, now
            )
            if silent:
                return
            world = self.with_cache(world, follower, state)
        world = self.sent(self.arrived(world, message), Answered(question, given))
        yield f"process {process} answers {question.secret} {given.verdict}", world, ""

    def _known(self, state: CacheState, secret: str, ask: Ask, now: float) -> Given | None:
        """As `keyauthority.replica.verdicts` answers from memory."""
        cache_now = wake_cache(state, self.cache_type)
        if ask.fresh or cache_now.applied < ask.at_least or not cache_now.holds_lease(now):
            return None
        known = cache_now.get(secret.encode(), now)
        return None if known is None else self.pass_on(cache_now, known, now)

    def reported(self, known: Given, books: Books) -> Given:
        return known

    def pass_on(self, cache_now: Cache, known: Answer, now: float) -> Given:
        left = max(known.until - now, 0.0)
        return Given(known.verdict, known.whole, cache_now.epoch, cache_now.applied, left)

    def _read_at_process(
        self, state: CacheState, ask: Ask, secret: str, given: Given, now: float
    ) -> tuple[CacheState, bool]:
        cache_now = wake_cache(state, self.cache_type)
        if not self.may_answer(cache_now, now):
            return state, True
        if self.stands(cache_now, ask, Head(given.epoch, given.revision)):
            self.keep(cache_now, ask, secret, self.answer_of(secret, ask, given, now))
        return cache_asleep(cache_now, now), False

    def may_answer(self, cache_now: Cache, now: float) -> bool:
        return not self.has.rows or cache_now.holds_lease(now)

    # --- changes and fences

    def processes_act(self, world: World) -> Iterator[Step]:
        for number, process in enumerate(world.processes):
            if process.state == "up":
                yield from self.change(world, number)
                if "janitor" in self.has.may:
                    yield from self.sweep(world, number)
            yield from self.suffer(world, number)
        for fence in world.fences:
            yield from self.look(world, fence)
        if world.books.settling is not None and self.has_settled(world, world.books.settling):
            books = world.books._replace(settling=None)
            yield "the restore has settled", world._replace(books=books), ""
        if "prune" in self.has.may and world.books.changes:
            books = world.books._replace(changes=world.books.changes[1:])
            yield "the oldest change is forgotten", world._replace(books=books), ""

    def has_settled(self, world: World, since: int) -> bool:
        return (world.tick - since) * FAST >= self.wait_out(world.books.longest)

    def change(self, world: World, process: int) -> Iterator[Step]:
        if world.processes[process].frozen is not None:
            return
        if world.begun < len(self.has.changes):
            change = self.has.changes[world.begun]
            after = world._replace(begun=world.begun + 1)
            now = self.process_clock(world, process)
            if "slow commit" in self.has.may:
                committing = Committing(process, change, now)
                yield f"process {process} begins {change}", self.sent(after, committing), ""
            else:
                yield self.commit(after, process, change, now)
        if "repeat" in self.has.may and len(world.fences) < 2:
            current = len(world.versions) - 1
            if world.returned < current:
                label, after = f"process {process} repeats the last change", world
                yield label, self.repeat(after, process, current), ""

    def commit(self, world: World, process: int, change: str, began: float) -> Step:
        books = self.changed(world.books, change)
        versions = (*world.versions, (books.facts, world.tick))
        world = world._replace(books=books, versions=versions)
        label = f"process {process} commits {change} as {books.revision}"
        if change[0] == "*":
            return label, world._replace(returned=len(versions) - 1), ""
        committed = self.committed(world, process, began)
        return label, self.fence(world, process, len(versions) - 1, committed), ""

    def changed(self, books: Books, change: str) -> Books:
        if change.startswith("lease"):
            return books._replace(lease=float(change.split()[1]))
        fact = {change[1:]}
        facts = books.facts - fact if change[0] == "-" else books.facts | fact
        if change[0] == "*":
            return books._replace(facts=facts)
        revision = books.revision + 1
        changes = (*books.changes, (revision, self.subject(change)))
        return books._replace(revision=revision, changes=changes, facts=facts)

    def subject(self, change: str) -> str:
        return subject_of(change)

    def committed(self, world: World, process: int, began: float) -> float:
        return self.process_clock(world, process)

    def fence(self, world: World, process: int, version: int, committed: float) -> World:
        fence = OpenFence(process, world.books.revision, version, committed)
        return world._replace(fences=tuple(sorted({*world.fences, fence})))

    def repeat(self, world: World, process: int, version: int) -> World:
        return self.fence(world, process, version, self.process_clock(world, process))

    def look(self, world: World, fence: OpenFence) -> Iterator[Step]:
        process = world.processes[fence.process]
        if process.state != "up" or process.frozen is not None:
            return
        acknowledged, behind = self.standing(world.book, fence.revision)
        machine = self.fence_type(fence.committed, process.settled)
        passed = machine.look(
            acknowledged,
            behind,
            timedelta(seconds=self.longest(world.books)),
            self.process_clock(world, fence.process),
            settling=world.books.settling is not None,
        )
        if passed is not None:
            yield f"change {fence.revision} returns", self.returns(world, fence), ""

    def _standing(self, book: BookState, revision: int) -> tuple[int, int]:
        return wake_book(book, self.book_type).behind(revision)

    def longest(self, books: Books) -> float:
        return books.longest

    def returns(self, world: World, fence: OpenFence) -> World:
        fences = tuple(one for one in world.fences if one != fence)
        return world._replace(fences=fences, returned=max(world.returned, fence.version))

    # --- the janitor

    def sweep(self, world: World, number: int) -> Iterator[Step]:
        process = world.processes[number]
        rows = self.swept(world)
        if rows or process.still:
            still, doomed = self.look_at(process, rows, self.sweep_time(world, number), self.wait)
            after = process._replace(still=still, doomed=doomed)
            if after != process:
                yield f"process {number} sweeps", self.with_process(world, number, after), ""
        for session_id, beat in process.doomed:
            book = wake_book(world.book, self.book_type)
            self.remove(book, session_id, beat)
            doomed = tuple(one for one in process.doomed if one != (session_id, beat))
            after = process._replace(doomed=doomed)
            removed = self.with_process(world, number, after)._replace(book=book_asleep(book))
            yield f"process {number} removes {session_id}", removed, ""

    def swept(self, world: World) -> list[tuple[str, int]]:
        return [(one, beat) for one, _, beat, _ in world.book.sessions]

    def sweep_time(self, world: World, number: int) -> float:
        return self.process_clock(world, number)

    def look_at(
        self, process: Process, rows: list[tuple[str, int]], now: float, wait: float
    ) -> tuple[tuple[tuple[tuple[str, int], float], ...], tuple[tuple[str, int], ...]]:
        janitor = self.janitor_type()
        janitor._still = dict(process.still)
        doomed = janitor.look(rows, now, wait)
        return tuple(sorted(janitor._still.items())), tuple(sorted(doomed))

    def remove(self, book: SessionBook, session_id: str, beat: int) -> None:
        book.remove(session_id, beat)

    # --- misfortunes and stops

    def suffer(self, world: World, number: int) -> Iterator[Step]:
        process, may = world.processes[number], self.has.may
        if process.state == "down":
            yield self.start(world, number)
            return
        if process.state == "closing":
            yield self.end(world, number)
        if not world.misfortunes:
            return
        less = world._replace(misfortunes=world.misfortunes - 1)
        if "crash" in may:
            yield f"process {number} crashes", self.down(less, number), ""
        if "stop" in may and process.state == "up" and not self.busy(world, number):
            closing = self.with_process(less, number, process._replace(state="closing"))
            yield f"process {number} grants nothing more", closing, ""
        if "restore" in may:
            yield self.restore(less)
        if "failover" in may and number == 1 and process.frozen is None:
            frozen = process._replace(frozen=world.books)
            yield "the database fails over", self.with_process(less, number, frozen), ""

    def busy(self, world: World, number: int) -> bool:
        return any(one.process == number for one in world.fences) or any(
            type(one) in (Committing, Recording) for one in world.net
        )

    def down(self, world: World, number: int) -> World:
        own = self.has.verifiers + number
        world = world._replace(
            fences=tuple(one for one in world.fences if one.process != number),
            net=frozenset(
                one
                for one in world.net
                if not (
                    (isinstance(one, Reading | Committing) and one.process == number)
                    or (isinstance(one, Recording) and not self.has.rows)
                    or (isinstance(one, SyncSent | SyncAnswered) and one.follower == own)
                )
            ),
        )
        if not self.has.rows:
            world = world._replace(book=BookState())
        world = self.with_cache(world, own, CacheState(syncs=world.caches[own].syncs))
        return self.with_process(world, number, Process(state="down"))

    def start(self, world: World, number: int) -> Step:
        settled = NEVER
        if not (self.has.rows or world.books.clean_stop):
            settled = self.settled_at_start(self.process_clock(world, number))
        world = world._replace(books=self.marker_taken(world.books))
        up = self.with_process(world, number, Process(settled=settled))
        return f"process {number} starts", up, ""

    def settled_at_start(self, now: float) -> float:
        return now + self.wait

    def marker_taken(self, books: Books) -> Books:
        return books._replace(clean_stop=False)

    def end(self, world: World, number: int) -> Step:
        process, now = world.processes[number], self.process_clock(world, number)
        clean = self.may_mark(world, process, now)
        world = self.down(world, number)
        if clean:
            world = world._replace(books=world.books._replace(clean_stop=True))
        return f"process {number} ends{', cleanly' if clean else ''}", world, ""

    def may_mark(self, world: World, process: Process, now: float) -> bool:
        return now >= process.settled and not world.book.sessions and world.books.settling is None

    def restore(self, world: World) -> Step:
        """The books become those of the beginning, under a new epoch."""
        backup = self.fresh_world().books._replace(revision=FIRST_REVISION)
        lease = self.has.lease_in_backup or backup.lease
        books = backup._replace(
            epoch=self.next_epoch(world, backup),
            settling=world.tick,
            lease=lease,
            longest=self.longest_restored(world, lease),
        )
        world = world._replace(
            books=self.restored(books, world),
            book=self.book_restored(world.book),
            fences=(),
            net=frozenset(one for one in world.net if type(one) not in (Committing, Recording)),
            versions=(*world.versions, (books.facts, world.tick)),
        )
        return "a backup is restored", world, ""

    def longest_restored(self, world: World, lease: float) -> float:
        return max(world.books.longest, lease)

    def next_epoch(self, world: World, backup: Books) -> int:
        return world.books.epoch + 1

    def restored(self, books: Books, world: World) -> Books:
        return books

    def book_restored(self, book: BookState) -> BookState:
        machine = wake_book(book, self.book_type)
        machine.clear()
        return book_asleep(machine)

    # --- the promises

    def broken(self, world: World) -> str:
        for follower in range(self.has.verifiers):
            broken = self.broken_at(world, follower)
            if broken:
                return broken
        if self.alarms_count and any(state.alarms for state in world.caches):
            return "an alarm, though all is well"
        return ""

    def broken_at(self, world: World, follower: int) -> str:
        state, now = world.caches[follower], self.clock(world, follower)
        for secret in self.has.secrets:
            verdict = self.hit(state, secret, now)
            if not verdict:
                continue
            broken = self.wrong(world, secret, verdict, self.waiter(world, follower, secret))
            if broken:
                return f"{broken}, from the cache"
            if verdict != "REVOKED" and self.is_of_revoked_caller(world, follower):
                return "the verifier of a revoked caller answers from its cache"
        return ""

    def is_of_revoked_caller(self, world: World, follower: int) -> bool:
        fact = f"{self.caller(follower)} revoked"
        return all(fact in facts for facts, _ in world.versions[world.returned :])

    def wrong(self, world: World, secret: str, verdict: str, waiter: Waiter) -> str:
        if waiter.refused and verdict == "VALID":
            return f"promise 4: {secret} is accepted after its refusal"
        possible = {
            self.judged_at(secret, facts, tick)
            for facts, _ in world.versions[waiter.version :]
            for tick in {waiter.arrived, world.tick}
        }
        if verdict in possible:
            return ""
        if verdict == "REVOKED" and any(
            judged(secret, facts) == "REVOKED" for facts, _ in world.versions
        ):
            return ""
        return f"promises 1-3, 5: {secret} is {verdict}, not {' or '.join(sorted(possible))}"

    # --- parts of a world

    def name(self, follower: int) -> str:
        if follower < self.has.verifiers:
            return f"verifier {follower}"
        return f"process {follower - self.has.verifiers}"

    def asleep(self, cache_now: Cache, now: float) -> CacheState:
        return cache_asleep(cache_now, now)

    def _age(self, state: CacheState, now: float) -> CacheState:
        return cache_asleep(wake_cache(state, self.cache_type), now)

    def with_cache(self, world: World, follower: int, state: CacheState) -> World:
        return world._replace(caches=self.replaced(world.caches, follower, state))

    def with_process(self, world: World, number: int, process: Process) -> World:
        return world._replace(processes=self.replaced(world.processes, number, process))

    def replaced(self, parts: tuple[Any, ...], number: int, part: Any) -> tuple[Any, ...]:
        return (*parts[:number], part, *parts[number + 1 :])

    def sent(self, world: World, message: Any) -> World:
        return world._replace(net=world.net | {message})

    def arrived(self, world: World, message: Any) -> World:
        return world._replace(net=world.net - {message})
