"""The shipped machines, asleep as tuples between any two steps of the model, and how they are used.

Each method without an underscore is one that a seeded bug may override; those with one are pure, so
that what they give is remembered.
"""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from keyauthority.coherence.allowances import Allowances
from keyauthority.coherence.cache import Ask, CoherentCache, SyncCall
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.fence import Fence
from keyauthority.coherence.leases import RATE_ERROR, wait_out
from keyauthority.coherence.sessions import Janitor, SessionBook, credited
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.sessions import (
    REPLICA,
    Allowance,
    Claim,
    Counts,
    Grant,
    Head,
    Standing,
    Terms,
)
from keyauthority.storage.sql import leases
from tests.coherence.grant_rows import GrantRow, with_changes
from tests.coherence.scenarios import Scenario
from tests.coherence.world import (
    Answer,
    Books,
    BookState,
    Cache,
    CacheState,
    Given,
    Process,
    Waiter,
    World,
    cache_asleep,
    wake_book,
    wake_cache,
)

SLOW, FAST = 1 - RATE_ERROR, 1 + RATE_ERROR
FIRST_REVISION = 1

Step = tuple[str, World, str]


class Machines:
    """What the model is made of, for one scenario."""

    cache_type: type[Cache] = CoherentCache[Answer]
    book_type: type[SessionBook] = SessionBook
    fence_type: type[Fence] = Fence
    janitor_type: type[Janitor] = Janitor
    calls_type: type[Calls[Waiter]] = Calls[Waiter]
    allowances_type: type[Allowances] = Allowances
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

    def name(self, follower: int) -> str:
        if follower < self.has.verifiers:
            return f"verifier {follower}"
        return f"process {follower - self.has.verifiers}"

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

    def _begin_sync(self, state: CacheState, now: float) -> tuple[CacheState, SyncCall]:
        cache_now = wake_cache(state, self.cache_type)
        call = self.begin_sync(cache_now, now)
        return cache_asleep(cache_now, now), call

    def begin_sync(self, cache_now: Cache, now: float) -> SyncCall:
        return cache_now.begin_sync(now)

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

    def _part(self, state: CacheState, now: float) -> tuple[CacheState, str]:
        cache_now = wake_cache(state, self.cache_type)
        session_id = self.part(cache_now)
        return cache_asleep(cache_now, now), session_id

    def part(self, cache_now: Cache) -> str:
        return cache_now.leave()

    def _known(self, state: CacheState, secret: str, ask: Ask, now: float) -> Given | None:
        """As `keyauthority.replica.verdicts` answers from memory."""
        cache_now = wake_cache(state, self.cache_type)
        if ask.fresh or cache_now.applied < ask.at_least or not cache_now.holds_lease(now):
            return None
        known = cache_now.get(secret.encode(), now)
        return None if known is None else self.pass_on(cache_now, known, now)

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

    def credit(self, call: SyncCall, head: Head) -> int:
        return credited(call.claim, head)

    def _grant(
        self, books: Books, session_id: str, caller: str, claim: Claim, allowance: Allowance
    ) -> Grant | None:
        known = caller if caller == REPLICA or self.accepts(books, caller) else None
        rows = self.rows(books, known, claim)
        try:
            return self.grant(rows, session_id, caller, claim, allowance)
        except KeyAuthorityError:
            return None

    def accepts(self, books: Books, caller: str) -> bool:
        return f"{caller} revoked" not in books.facts

    def rows(self, books: Books, known: str | None, claim: Claim) -> list[GrantRow]:
        row = GrantRow(
            epoch=books.epoch,
            revision=books.revision,
            lease=round(1000 * books.lease),
            longest_lease=round(1000 * books.longest),
            settling=books.settling is not None,
            foreign_secrets=bool({"imported", "foreign"} & books.facts),
            caller_id=known,
            oldest_change=books.changes[0][0] if books.changes else None,
        )
        return with_changes(row, [each for each in books.changes if each[0] > claim.revision])

    def grant(
        self,
        rows: list[GrantRow],
        session_id: str,
        caller: str,
        claim: Claim,
        allowance: Allowance,
    ) -> Grant:
        return leases.grant(rows, session_id, caller, claim, allowance)

    def _standing(
        self, book: BookState, revision: int, longest: float, *, settling: bool
    ) -> Counts:
        lease = timedelta(seconds=longest)
        terms = Terms(lease, lease, settling, foreign_secrets=False)
        return Standing(wake_book(book, self.book_type).standing(), terms).at(revision)

    def _age(self, state: CacheState, now: float) -> CacheState:
        return cache_asleep(wake_cache(state, self.cache_type), now)

    def asleep(self, cache_now: Cache, now: float) -> CacheState:
        return cache_asleep(cache_now, now)

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
