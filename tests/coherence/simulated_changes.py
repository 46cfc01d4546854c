"""How a simulated process makes changes: the shipped `Books`, which gather what waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from keyauthority.coherence.allowances import shortened
from keyauthority.domain.callers import authority
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.sessions import Counts, Receipt, Standing, Terms
from keyauthority.storage.errors import unavailable
from tests.coherence.simulated_books import LEASE, Database
from tests.coherence.simulated_loop import Loop
from tests.coherence.simulated_transactions import UndoError, Work, run_ahead, transact, work_of

if TYPE_CHECKING:
    from tests.coherence.simulated_process import Process

ACTOR: Final = authority("simulation")
ANSWERED_WITHIN: Final = 0.3
"""Seconds after which the connection of a commit that is not answered is given up."""

Outcome = tuple[Any, Exception | None]


class Changes:
    """The changes of one life of a process; to `Books` it is their store and their fence."""

    def __init__(self, process: Process) -> None:
        self.changes_at_once = 1 if process.alone else 2
        self._process = process
        self._random = process.random
        self._wrong = process.parts.wrong
        self._loop = Loop()
        self._books = process.parts.books_type(cast("Any", self), self, process.now)
        self._began = -math.inf

    def begin(self, changes: Sequence[str]) -> None:
        """Has *changes* made; others may be under way, or wait already."""
        for change in changes:
            self._loop.start(self._make(change))
        self._loop.run()

    async def _make(self, change: str) -> None:
        process, chance = self._process, self._random.random()
        failure = UndoError() if chance < 0.1 else unavailable("locked") if chance < 0.15 else None
        counts = process.database.history.counts
        try:
            version, receipt = await self._books.change(ACTOR, work_of(change, failure))
        except UndoError:
            return
        except KeyAuthorityError:
            # It may have been made: then whoever asks again finds nothing to change.
            counts["unanswered"] += 1
            if self._random.random() < 0.5:
                process.after(0.1, process.change, change)
            return
        if version.known is None:
            version.known = process.timeline.time
            counts["waited out" if receipt.leases_waited_out else "acknowledged"] += 1

    # --- the store

    async def change(self, work: Work) -> Any:
        """Has *work* committed some time from now, and hears of it later, or never."""
        process = self._process
        if process.cut_off:
            raise unavailable("the database is another's")
        began = process.now()
        future = self._loop.create_future()
        chance = self._random.random()
        failure = UndoError() if chance < 0.03 else unavailable("away") if chance < 0.06 else None

        def attempt(database: Database) -> Outcome:
            try:
                if self._wrong == "receipt before commit":
                    wait = self._random.uniform(0.0, 2.0)
                    return run_ahead(database, work, process.timeline, wait), None
                return transact(database, work, process.timeline.time, failure), None
            except Exception as error:  # noqa: BLE001  # it is the answer
                return None, error

        def answered(outcome: Outcome) -> None:
            if not future.done():
                self._began = began
                result, error = outcome
                future.set_result(result) if error is None else future.set_exception(error)
                self._loop.run()

        def commit() -> None:
            outcome = attempt(process.database)
            process.arrives(self._random.expovariate(500.0), answered, outcome)

        if process.alone:
            # Some disks are slow at times.
            slow = self._random.random() < 0.1
            wait = self._random.uniform(0.0, 2 * LEASE if slow else 0.01)
            process.arrives(wait, commit)
        else:
            process.in_books(attempt, answered)
            process.after(ANSWERED_WITHIN, answered, (None, unavailable("not answered")))
        return await future

    # --- the fence

    def announce(self, revision: int) -> None:
        self._process.announce(revision)

    async def wait(self, revision: int) -> Receipt:
        process = self._process
        committed = self._began if self._wrong == "time before commit" else process.now()
        if self._wrong == "no fence":
            return Receipt(revision)
        self.announce(revision)
        receipt = self._loop.create_future()
        fence = process.parts.fence_type(committed, process.settled)
        self._look(fence, revision, receipt)
        result: Receipt = await receipt
        return result

    def _look(self, fence: Any, revision: int, receipt: asyncio.Future[Any]) -> None:
        process = self._process

        def counted(counts: Counts) -> None:
            passed = fence.look(counts, process.now())
            if fence.late or (passed and counts.behind):
                process.in_the_book(lambda book: self._shorten(book, revision))
            if not passed:
                process.after(0.02, self._look, fence, revision, receipt)
            elif not receipt.done():
                receipt.set_result(Receipt(revision, counts.acknowledged, counts.behind))
                self._loop.run()

        if process.cut_off:
            return
        if process.alone:
            counted(_counts(process.database, process.book, revision))
        else:
            process.in_books(lambda books: _counts(books, books.book, revision), counted)
            # One that is lost is asked again.
            process.after(0.5, self._look_again, fence, revision, receipt)

    def _look_again(self, fence: Any, revision: int, receipt: asyncio.Future[Any]) -> None:
        if not receipt.done() and self._random.random() < 0.2:
            self._look(fence, revision, receipt)

    def _shorten(self, book: Any, revision: int) -> None:
        for one, entry in list(book):
            before = entry.allowance
            if entry.acknowledged < revision and before.settled and before.lease != timedelta():
                self._process.database.history.counts["shortened"] += 1
                after = shortened(before, timedelta(seconds=LEASE))
                if self._wrong == "in force at once":
                    after = replace(after, in_force=after.lease)
                book.allow(one, before, after)


def _counts(database: Database, book: Any, revision: int) -> Counts:
    lease = timedelta(seconds=LEASE)
    terms = Terms(lease, lease, database.settling, foreign_secrets=True)
    return Standing(book.standing(), terms).at(revision)
