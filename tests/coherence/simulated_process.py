"""One simulated process of the authority: the shipped machines, run as `keyauthority.replica` does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from keyauthority.coherence.allowances import lengthened
from keyauthority.coherence.cache import Ask, SyncCall
from keyauthority.coherence.entries import Cached
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.sessions import Allowance, Grant, Head
from tests.coherence.history import SECRETS, WORKSPACE_OF
from tests.coherence.simulated_books import LEASE, Database, Given, Parts
from tests.coherence.simulated_changes import Changes
from tests.coherence.simulated_leases import Granting, Reply, claimed, nothing

W = wait_out(timedelta(seconds=LEASE))


class Known(Cached):
    """What simulated caches keep."""

    __slots__ = ("verdict", "whole")

    def __init__(self, secret: str, given: Given, until: float) -> None:
        key = SECRETS[secret]
        super().__init__(key, WORKSPACE_OF[key], until, final=given.verdict == "REVOKED")
        self.verdict = given.verdict
        self.whole = given.whole and self.final


class Process(Granting):
    """Grants, answers, changes and sweeps. *alone* keeps its sessions in memory."""

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
        self.begin_granting()
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
                    0.05 if grant is None or grant.head != claimed(call) else LEASE / 3,
                    self._follow,
                )

        if not self.cut_off:
            self.grant(call, take)
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
                    self.grant_again(call, reply)
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
            self.in_books(lambda books: work(books.book), nothing)

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
                    self.in_books(_removing(session_id, beat), nothing)

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


def _allowed(book: Any) -> list[tuple[str, Allowance, bool]]:
    return [(one, entry.allowance, True) for one, entry in book]


def _allowing(session_id: str, before: Allowance, after: Allowance) -> Callable[[Any], None]:
    return lambda book: book.allow(session_id, before, after)


def _removing(session_id: str, beat: int) -> Callable[[Database], bool]:
    return lambda database: database.book.remove(session_id, beat)
