"""How a simulated process grants leases: as `storage.in_memory_sessions` does, or in batches in the books."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from keyauthority.coherence.cache import SyncCall
from keyauthority.coherence.sessions import SessionBook, resets
from keyauthority.domain.sessions import Grant, Head
from tests.coherence.simulated_books import LEASE, Database, Parts
from tests.coherence.virtual import Machine, Network, Timeline

Reply = Callable[..., None]


class Granting(Machine):
    """Grants leases while it is `up`. *alone* keeps its sessions in memory, in `book`."""

    book: SessionBook

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

    def begin_granting(self) -> None:
        """Nobody waits for anything yet."""
        self.held: list[tuple[SyncCall, Reply]] = []
        # Requests that wait for the next batch of renewals, and the number of the one under way.
        self.renewing: list[tuple[SyncCall, Reply]] = []
        self.batch = 0
        self.batches = 0

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

    def sync(self, call: SyncCall, reply: Reply) -> None:
        """`reply` gets a grant, or None for a session that is gone."""
        if not self.up or self.cut_off:
            return

        def granted(grant: Grant | None) -> None:
            news = grant is None or grant.subjects is None or grant.head != claimed(call)
            if news or not call.session_id or self.random.random() < 0.2:
                reply(grant)
                return
            assert grant is not None
            held = (call, reply)
            self.held.append(held)
            self.after(LEASE / 3, self._give_up, held, grant)

        self.grant(call, granted)

    def _give_up(self, held: tuple[SyncCall, Reply], grant: Grant) -> None:
        if held in self.held:
            self.held.remove(held)
            held[1](grant)

    def grant(self, call: SyncCall, then: Callable[[Grant | None], None]) -> None:
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

    def grant_again(self, call: SyncCall, reply: Reply) -> None:
        """Answers a held poll, whose beat is in the books; a reset is for a renewal."""

        def take(grant: Grant | None) -> None:
            if grant is not None and resets(call.claim, grant.head):
                self.grant(call, reply)
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
            self.in_books(lambda database: database.book.leave(session_id, ""), nothing)


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


def claimed(call: SyncCall) -> Head:
    return Head(call.claim.epoch, call.claim.revision)


def nothing(_result: Any) -> None:
    pass
