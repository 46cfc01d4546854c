"""Transactions of the simulated database: what the shipped `Books` and their works use of one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from keyauthority.domain.books import Change
from keyauthority.domain.gathering import is_outage
from keyauthority.domain.sessions import Head
from tests.coherence.history import Version
from tests.coherence.simulated_loop import driven

if TYPE_CHECKING:
    from tests.coherence.simulated_books import Database
    from tests.coherence.virtual import Timeline

State = tuple[int, int, frozenset[str], int]
Work = Callable[[Any], Coroutine[Any, Any, Any]]


class UndoError(Exception):
    """A change that fails by itself, or a commit that fails for one of its changes."""


class Transaction:
    """A transaction, its feed and its audit, within one moment."""

    time = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, database: Database, time: float) -> None:
        self.feed = self.audit = self
        self.versions: list[Version] = []
        self._database = database
        self._time = time

    def make(self, change: str) -> tuple[Version, str]:
        """Returns the state that *change* leads to, and its subject, or "": nothing to change."""
        facts = self._database.facts
        after = facts - {change[1:]} if change[0] == "-" else facts | {change[1:]}
        if after == facts:
            return [*self._database.history.versions[-1:], *self.versions][-1], ""
        self._database.facts = after
        self.versions.append(Version(after, self._time))
        return self.versions[-1], change[1:].split(maxsplit=1)[0].split(".", maxsplit=1)[0]

    def savepoint(self) -> _Savepoint:
        return _Savepoint(self)

    @property
    def state(self) -> State:
        database = self._database
        return database.revision, len(database.changes), database.facts, len(self.versions)

    def back_to(self, state: State) -> None:
        database = self._database
        database.revision, rows, database.facts, versions = state
        del database.changes[rows:], self.versions[versions:]

    def rolled_back_to(self, savepoint: State) -> None:
        self.back_to(savepoint)
        self._database.history.counts["rolled back beside others"] += 1
        if self._database.parts.wrong == "rolled back revision kept":
            self._database.revision += 1

    async def advance(self, subjects: Sequence[str]) -> int:
        database = self._database
        last = database.revision
        if database.parts.wrong == "rolled back revision kept" and database.changes:
            last = database.changes[-1][0]
        database.changes += enumerate(subjects, last + 1)
        last += len(subjects)
        database.revision = max(database.revision, last)
        return last

    async def head(self) -> Head:
        return Head(self._database.epoch, self._database.revision)

    async def append(self, entries: Sequence[Any]) -> None:
        pass


class _Savepoint:
    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._before = tx.state

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._tx.rolled_back_to(self._before)


def transact(database: Database, work: Work, time: float, failure: Exception | None) -> Any:
    """Runs *work* and commits it, or raises *failure* at its commit: then nothing is made."""
    tx = Transaction(database, time)
    before = tx.state
    try:
        result = driven(_failing(work, tx, failure))
    except Exception:
        tx.back_to(before)
        raise
    database.history.versions += tx.versions
    database.history.counts["changed together"] += len(tx.versions) > 1
    return result


async def _failing(work: Work, tx: Transaction, failure: Exception | None) -> Any:
    result = await work(tx)
    if failure is not None:
        raise failure
    return result


def run_ahead(database: Database, work: Work, timeline: Timeline, wait: float) -> Any:
    """A seeded bug: the result of *work* is handed out, and the commit follows when it does."""
    tx = Transaction(database, timeline.time)
    before = tx.state
    result = driven(work(tx))
    database.history.versions += tx.versions
    tx.back_to(before)
    later = timeline.time + wait
    timeline.at(later, lambda: driven(work(Transaction(database, later))))
    return result


def work_of(change: str, failure: Exception | None) -> Callable[[Change], Coroutine[Any, Any, Any]]:
    """Returns the work of *change*, which fails with *failure* when all is done.

    It waits too long for another's lock only once.
    """
    failures = [failure] * (1 if is_outage(failure) else 2)

    async def work(under_way: Change) -> Version:
        tx: Any = under_way.tx
        version, subject = tx.make(change)
        if subject:
            under_way.alters(subject, "")
        if failures and (due := failures.pop()) is not None:
            raise due
        result: Version = version
        return result

    return work
