"""One simulated process of the authority: the shipped machines, run as `keyauthority.replica` does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from keyauthority.coherence.allowances import lengthened
from keyauthority.coherence.cache import Ask, SyncCall
from keyauthority.coherence.entries import Cached
from keyauthority.coherence.leases import wait_out
from keyauthority.coherence.sessions import resets
from keyauthority.domain.sessions import Allowance, Grant, Head
from tests.coherence.history import SECRETS, WORKSPACE_OF
from tests.coherence.simulated_books import LEASE, Database, Given, Parts
from tests.coherence.simulated_changes import Changes
from tests.coherence.virtual import Machine, Network, Timeline

W = wait_out(timedelta(seconds=LEASE))
Reply = Callable[..., None]


class Known(Cached):
    """What simulated caches keep."""

    __slots__ = ("verdict", "whole")

    def __init__(self, secret: str, given: Given, until: float) -> None:
        key = SECRETS[secret]
        super().__init__(key, WORKSPACE_OF[key], until, final=given.verdict == "REVOKED")
        self.verdict = given.verdict
        self.whole = given.whole and self.final


class Process(Machine):
    """Grants, answers, changes and sweeps. *alone* keeps its sessions in memory."""

    def __init__(
        self, timeline: Timeline, random: Random, parts: Parts, database: Database, *, alone: bool
    ) -> None:
        super().__init__(timeline, random)
        self.parts = parts
        self.database = self._primary = database
        self.alone = alone
        self.cut_off = False
        self.up = False
        self.network = Network(timeline, random, 0.0 if alone else 0.5 * LEASE)

    # --- life

    def start(self, *, first: bool = False) -> None:
        self.up = True
        self.cut_off = False
        self.database = self._primary
        self.cache = self.parts.cache_type(3)
        self.changes = Changes(self)
        self.janitor = self.parts.janitor_type()
        self.allowances = self.parts.allowances_type()
        self.head = Head(0, 0)
        self.asking = True
        self.held: list[tuple[SyncCall, Reply]] = []
        # Requests that wait for the next batch of renewals, and the number of the one under way.
        self.renewing: list[tuple[SyncCall, Reply]] = []
        self.batch = 0
        self.batches = 0
        self.settled = -math.inf
        if self.alone:
            self.book = self.parts.book_type()
            if not first and self.parts.wrong != "restart not settled":
                self.settled = self.now() + W
        if self.database.settling:
            self.after(W, self._settle, self.database.epoch)
        self._watch()
        self._sweep()
        self._follow()

    def stop(self) -> None:
        self.up = False
        self.crash()

    def _settle(self, epoch: int) -> None:
        if self.database.epoch == epoch:
            self.database.settling = False

    def in_books(self, work: Callable[[Database], Any], then: Callable[[Any], None]) -> None:
        """Has *work* done in the database some time from now, and hears of it later, or never."""
        database, life = self.database, self._life
        if self.alone:
            then(work(database))
            return

        def do() -> None:
            # What was sent before a crash may still be done after it.
            if database is not self.database and life == self._life and not self.cut_off:
                return
            result = work(database)
            if life == self._life:
                self.network.send(self, once, result)

        heard = False

        def once(result: Any) -> None:
            nonlocal heard
            if not heard:
                heard = True
                then(result)

        self.timeline.at(self.timeline.time + self.network.delay(), do)

    # --- leases

    def sync(self, call: SyncCall, reply: Reply) -> None:
        """`reply` gets a grant, or None for a session that is gone."""
        if not self.up or self.cut_off:
            return

        def granted(grant: Grant | None) -> None:
            news = grant is None or grant.subjects is None or grant.head != _of(call)
            if news or not call.session_id or self.random.random() < 0.2:
                reply(grant)
                return
            assert grant is not None
            held = (call, reply)
            self.held.append(held)
            self.after(LEASE / 3, self._give_up, held, grant)

        self._grant(call, granted)

    def _give_up(self, held: tuple[SyncCall, Reply], grant: Grant) -> None:
        if held in self.held:
            self.held.remove(held)
            held[1](grant)

    def _grant(self, call: SyncCall, then: Callable[[Grant | None], None]) -> None:
        if self.alone:
            self._grant_alone(call, then)
            return
        self.renewing.append((call, then))
        if not self.batch:
            self._renew()

    def _renew(self) -> None:
        """What came while a batch was under way forms the next; one is lost as a whole."""
        requests, self.renewing = self.renewing, []
        self.batches += 1
        number = self.batch = self.batches if requests else 0
        if not requests:
            return
        calls = [call for call, _ in requests]
        self.database.history.counts["renewed together"] += len(calls) > 1

        def answered(grants: list[Grant | None]) -> None:
            for (_, then), grant in zip(requests, grants, strict=True):
                then(grant)
            proceed()

        def proceed() -> None:
            if self.batch == number:
                self._renew()

        if self.parts.wrong == "renewals lost":
            self.in_books(lambda database: _lost(database, calls), answered)
        else:
            self.in_books(lambda database: [_granted(database, each) for each in calls], answered)
        # The connection of one that is not answered is given up.
        self.after(0.3, proceed)

    def _grant_again(self, call: SyncCall, reply: Reply) -> None:
        """Answers a held poll, whose beat is in the books; a reset is for a renewal."""

        def take(grant: Grant | None) -> None:
            if grant is not None and resets(call.claim, grant.head):
                self._grant(call, reply)
            else:
                reply(grant)

        if not self.alone:
            self.in_books(lambda database: _read(database, call), take)
            return
        session_id, allowance = call.session_id, self.book.allowance(call.session_id)

        def read() -> None:
            grant = self.database.grant(session_id, call.claim, allowance)
            self.arrives(self.random.expovariate(200.0), answer, grant)

        def answer(grant: Grant) -> None:
            take(grant if session_id in self.book else None)

        self.arrives(self.random.expovariate(500.0), read)

    def _grant_alone(self, call: SyncCall, then: Callable[[Grant | None], None]) -> None:
        # As in `storage.in_memory_sessions`: in the book, then a read that takes its time, then acknowledged.
        session_id = call.session_id
        if session_id and not self.book.beat(session_id, ""):
            then(None)
            return
        late = self.parts.wrong == "join after reading" and not session_id
        if not session_id and not late:
            session_id = self.database.join(self.book)
        elif late:
            session_id = self.database.new_id()

        allowance = self.book.allowance(session_id)

        def read() -> None:
            grant = self.database.grant(session_id, call.claim, allowance)
            self.arrives(self.random.expovariate(200.0), recorded, grant)

        def recorded(grant: Grant) -> None:
            if late:
                self.book.join(session_id, "")
            if session_id not in self.book:
                then(None)
                return
            self.database.acknowledge(self.book, session_id, call.claim, grant.head)
            then(grant)

        self.arrives(self.random.expovariate(500.0), read)

    def leave(self, session_id: str) -> None:
        if not self.up:
            return
        if self.alone:
            self.book.leave(session_id, "")
        else:
            self.in_books(lambda database: database.book.leave(session_id, ""), _nothing)

    # --- its own session

    def _follow(self) -> None:
        call = self.cache.begin_sync(self.now())
        self.asking = True

        def take(grant: Grant | None) -> None:
            self.asking = self.asking and not self.cache.is_current(call)
            if grant is None:
                self.cache.session_gone(call)
            else:
                apply(self.parts, self.cache, call, grant, self.now())
            if self.cache.is_current(call):
                self.after(
                    0.05 if grant is None or grant.head != _of(call) else LEASE / 3, self._follow
                )

        if not self.cut_off:
            self._grant(call, take)
        self.after(LEASE / 2, self._follow_again, call)

    def _follow_again(self, call: SyncCall) -> None:
        if self.cache.is_current(call) and not self.cache.holds_lease(self.now() + LEASE / 4):
            self._follow()

    def _watch(self) -> None:
        self.in_books(lambda database: Head(database.epoch, database.revision), self._hear)
        self.after(0.2, self._watch)

    def _hear(self, head: Head) -> None:
        if (head.epoch, head.revision) > (self.head.epoch, self.head.revision):
            self.head = head
            held, self.held = self.held, []
            for call, reply in held:
                if self.up and not self.cut_off:
                    self._grant_again(call, reply)
            if self.cache.applied < head.revision and not self.asking:
                self._follow()

    # --- verdicts

    def verify(self, secret: str, ask: Ask, reply: Reply) -> None:
        """`reply` gets what is given, if anything is."""
        if not self.up:
            return
        now = self.now()
        known = None
        if not ask.fresh and self.cache.applied >= ask.at_least and self.cache.holds_lease(now):
            known = self.cache.get(secret.encode(), now)
        if known is not None:
            revision = self.cache.applied
            if self.parts.wrong == "head reported":
                revision = self.database.revision
            head = Head(self.cache.epoch, revision)
            reply(Given(known.verdict, known.whole, head, max(known.until - now, 0.0)))
            return
        mine = self.cache.ask(now)
        self.in_books(
            lambda database: database.read(secret),
            lambda given: self._read(secret, ask, mine, given, reply),
        )

    def _read(self, secret: str, ask: Ask, mine: Ask, given: Given, reply: Reply) -> None:
        if given.head.revision < ask.at_least:
            return
        leased = self.cache.holds_lease(self.now())
        if not (self.alone or leased or self.parts.wrong == "unleased"):
            return
        if self.cache.stands(mine, given.head):
            known = Known(secret, given, mine.sent + given.left)
            self.cache.keep(mine, secret.encode(), known, whole_key=known.whole)
        reply(given)

    # --- changes

    def change(self, *changes: str) -> None:
        """Has changes made that come in one step."""
        if self.up and not self.cut_off:
            self.changes.begin(changes)

    def announce(self, revision: int) -> None:
        self._hear(Head(self.head.epoch, revision))

    def in_the_book(self, work: Callable[[Any], None]) -> None:
        if self.alone:
            work(self.book)
        elif not self.cut_off:
            self.in_books(lambda books: work(books.book), _nothing)

    def _lengthen(self, book: Any) -> None:
        # Sooner than they do: that it takes a while keeps no promise.
        for one, entry in list(book):
            before = entry.allowance
            if before.lease is not None and before.settled and self.random.random() < 0.3:
                self.database.history.counts["lengthened"] += 1
                after = lengthened(before, timedelta(seconds=LEASE))
                if self.parts.wrong == "lengthened unseen":
                    after = replace(after, in_force=before.in_force)
                book.allow(one, before, after)

    # --- the janitor

    def _sweep(self) -> None:
        before = self.now()

        def look(rows: list[tuple[str, int]]) -> None:
            now = before if self.parts.wrong == "janitor's time before rows" else self.now()
            wait = LEASE / 2 if self.parts.wrong == "hasty janitor" else W
            for session_id, beat in self.janitor.look(rows, now, wait):
                self.database.history.counts["removed"] += 1
                if self.alone:
                    self.book.remove(session_id, beat)
                else:
                    self.in_books(_removing(session_id, beat), _nothing)

        def allow(rows: list[tuple[str, Allowance, bool]]) -> None:
            lease = timedelta(seconds=LEASE)
            for each in self.allowances.look(rows, self.now(), lease, lease):
                self.database.history.counts["settled"] += 1
                self.in_the_book(_allowing(*each))
            self.in_the_book(self._lengthen)

        if self.alone:
            look([(one, entry.beat) for one, entry in self.book])
            allow(_allowed(self.book))
        elif not self.cut_off:
            self.in_books(lambda books: [(one, e.beat) for one, e in books.book], look)
            self.in_books(lambda books: _allowed(books.book), allow)
        self.after(0.3, self._sweep)


def apply(parts: Parts, cache: Any, call: SyncCall, grant: Grant, now: float) -> None:
    """Takes a grant, as whoever follows does."""
    if parts.wrong == "lease from receipt":
        call = replace(call, sent=now)
    subjects = grant.subjects
    if parts.wrong == "not dropped":
        subjects = ()
    if parts.wrong == "reset ignored" and cache.epoch == grant.head.epoch:
        subjects = subjects or ()
    cache.apply(call, grant.session_id, grant.head, subjects, grant.lease.total_seconds())


def _granted(database: Database, call: SyncCall) -> Grant | None:
    session_id = call.session_id
    if not session_id:
        session_id = database.join(database.book)
    elif not database.book.beat(session_id, ""):
        return None
    grant = database.grant(session_id, call.claim, database.book.allowance(session_id))
    database.acknowledge(database.book, session_id, call.claim, grant.head)
    return grant


def _read(database: Database, call: SyncCall) -> Grant | None:
    if call.session_id not in database.book:
        return None
    return database.grant(call.session_id, call.claim, database.book.allowance(call.session_id))


def _lost(database: Database, calls: list[SyncCall]) -> list[Grant | None]:
    # Joins are transactions of their own. Renewals are answered, and rolled back.
    return [
        _read(database, call) if call.session_id else _granted(database, call) for call in calls
    ]


def _allowed(book: Any) -> list[tuple[str, Allowance, bool]]:
    return [(one, entry.allowance, True) for one, entry in book]


def _allowing(session_id: str, before: Allowance, after: Allowance) -> Callable[[Any], None]:
    return lambda book: book.allow(session_id, before, after)


def _removing(session_id: str, beat: int) -> Callable[[Database], bool]:
    return lambda database: database.book.remove(session_id, beat)


def _of(call: SyncCall) -> Head:
    return Head(call.claim.epoch, call.claim.revision)


def _nothing(_result: Any) -> None:
    pass
