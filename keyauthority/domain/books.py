"""The only door to the books: a use case hands in a function of the transaction (*work*).

So a store can run *work* where its database is, and changes that wait go together in one commit, each
with a savepoint of its own: one that fails takes nothing else with it. A work must not keep the
transaction, and awaits nothing else. What it does outside the books, it may do again: its batch may
fail, and then it is run alone.

Every change to a record leaves an entry in the audit, whoever makes it: a caller, an operator at the
machine or the authority itself. `post` leaves none: the ledger's own entries are the record of what it
changes. `upkeep` leaves none; no record and no verdict depends on what it changes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.callers import Actor, Insider
from keyauthority.domain.facts import Fact
from keyauthority.domain.gathering import Gathering, is_outage
from keyauthority.domain.ports import Fence, Store
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Receipt

Result = TypeVar("Result")


class Change:
    """A change under way: its transaction, and the facts that the audit will have."""

    def __init__(self, tx: Transaction, actor: Actor | Insider) -> None:
        self.tx = tx
        self._signature = actor.signature
        self._altered: list[tuple[str, str, Sequence[Fact]]] = []
        self._recorded: list[AuditEntry] = []

    def alters(self, subject: str, workspace_id: str, *facts: Fact) -> None:
        """States *facts* that may change verdicts; they share one revision.

        *subject* is the id of a key, workspace or caller.
        """
        self._altered.append((subject, workspace_id, facts))

    def records(self, fact: Fact, subject: str = "", workspace_id: str = "") -> None:
        """States a fact that changes no verdict a verifier may hold."""
        entry = self._signature.entry(self.tx.time, fact, subject, workspace_id, 0)
        self._recorded.append(entry)

    @property
    def altered(self) -> list[str]:
        """The subjects of which it states that verdicts may have changed."""
        return [subject for subject, _, _ in self._altered]

    def entries(self, first: int) -> list[AuditEntry]:
        """Returns the entries for the audit; alterations have the revisions from *first* on."""
        altered = [
            self._signature.entry(self.tx.time, fact, subject, workspace_id, revision)
            for revision, (subject, workspace_id, facts) in enumerate(self._altered, first)
            for fact in facts
        ]
        return [*self._recorded, *altered]


class Posting:
    """What verifiers spend, on its way into ledgers and slices: its transaction, and what to announce."""

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self._subjects: dict[str, None] = {}

    def announce(self, subject: str) -> None:
        """Has verifiers hear of a change of *subject*, on which no verdict depends."""
        self._subjects[subject] = None

    async def finish(self) -> int:
        """Numbers what was announced, and returns the last revision; 0: none."""
        return await self.tx.feed.advance(list(self._subjects)) if self._subjects else 0


Work: TypeAlias = Callable[[Change], Awaitable[Result]]
"""What happens to the books in one transaction. An exception rolls all of it back."""

Postings: TypeAlias = Callable[[Posting], Awaitable[Result]]
"""What verifiers spend, brought in one transaction."""

POSTS: Final = 4
"""How many postings are in the books at once, in one process: a revocation must not wait for many."""
POSTS_IN_FORCE: Final = 2
"""The same of those that wait until they are in force: whoever brings them delays no verifier."""

TOGETHER: Final = 64
"""How many records the changes of one transaction are about at most, unless it is one change."""

ALONE: Final = TOGETHER + 1
"""The size of a change that takes long, whatever it is about."""

TIME: Final = 0.05
"""Seconds after which no further change of a batch is begun: the others are of the next batch."""


@dataclass(frozen=True, slots=True)
class _Call:
    # A change that waits for its turn. *size* is how many records it is about.
    actor: Actor | Insider
    work: Work[Any]
    size: int
    fenced: bool


@dataclass(frozen=True, slots=True)
class _Made:
    # A change that is durable, and the revision to wait for.
    result: Any
    revision: int


class Books:
    """The books, and the fence that changes wait at. *now* is a clock in seconds."""

    def __init__(
        self, store: Store, fence: Fence, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._fence = fence
        self._now = now
        self._changes: Gathering[_Call, _Made | Exception] = Gathering(
            self._make,
            size=lambda call: call.size,
            most=TOGETHER,
            # Two would often wait for one another, and commit twice. What waits for long goes beside.
            at_once=1,
            beside=store.changes_at_once - 1,
        )
        self._posts = asyncio.Semaphore(POSTS)
        self._posts_in_force = asyncio.Semaphore(POSTS_IN_FORCE)

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """Returns what *work* reads, all of it from one state of the books."""
        return await self._store.read(work)

    async def change(
        self, actor: Actor | Insider, work: Work[Result], *, size: int = 1
    ) -> tuple[Result, Receipt]:
        """Runs *work*, commits it, then waits until every verifier has applied it.

        *size* is how many records it is about. The change takes effect even if its caller, or this
        process, does not see the end of the wait. A work that alters nothing waits for earlier
        changes: a repeated revocation promises no less than the first.
        """
        made = await self._made(_Call(actor, work, size, fenced=True))
        if actor.on_durable is not None:
            actor.on_durable(made.revision)
        return made.result, await self._fence.wait(made.revision)

    async def record(self, actor: Actor | Insider, work: Work[Result], *, size: int = 1) -> Result:
        """Runs and commits *work*, which changes no verdict that a verifier may hold."""
        result: Result = (await self._made(_Call(actor, work, size, fenced=False))).result
        return result

    async def post(self, work: Postings[Result]) -> Result:
        """Runs and commits *work*, which brings what verifiers spend, and announces what it says.

        It does not wait: whoever spends what is gone meanwhile is charged all the same.
        """
        async with self._posts:
            result, revision = await self._store.change(lambda tx: _posted(tx, work))
        if revision:
            self._fence.announce(revision)
        return result

    async def post_in_force(self, actor: Actor, work: Postings[Result]) -> tuple[Result, Receipt]:
        """Does the same, then waits until every verifier has applied what it announces, as `change`."""

        async def post(tx: Transaction) -> tuple[Result, int]:
            result, revision = await _posted(tx, work)
            return result, revision or (await tx.feed.head()).revision

        async with self._posts_in_force:
            result, revision = await self._store.change(post)
        if actor.on_durable is not None:
            actor.on_durable(revision)
        return result, await self._fence.wait(revision)

    async def _made(self, call: _Call) -> _Made:
        outcome = await self._changes.do(call)
        if is_outage(outcome):
            # The others are made. It waited too long for a change of another process, say.
            outcome = await self._changes.do(replace(call, size=ALONE))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _make(self, calls: Sequence[_Call]) -> Sequence[_Made | Exception]:
        outcomes = await self._store.change(lambda tx: self._run(tx, calls))
        last = max((made.revision for made in outcomes if isinstance(made, _Made)), default=0)
        if last:
            self._fence.announce(last)
        return outcomes

    async def _run(self, tx: Transaction, calls: Sequence[_Call]) -> list[_Made | Exception]:
        end = self._now() + TIME
        outcomes: list[_Run | Exception] = []
        for call in calls:
            if outcomes and self._now() >= end:
                break
            # In a savepoint it waits for no lock for long. What keeps nobody waiting needs none.
            one_by_one = self._store.changes_at_once == 1
            alone = len(calls) == 1 and (one_by_one or call.size > TOGETHER)
            run = self._run_alone if alone else self._run_beside_others
            outcomes.append(await run(tx, call))
        if len(calls) == 1 and isinstance(outcomes[0], Exception) and not is_outage(outcomes[0]):
            raise outcomes[0]
        revisions = iter(await self._finish(tx, [run for run in outcomes if isinstance(run, _Run)]))
        return [
            _Made(outcome.result, next(revisions)) if isinstance(outcome, _Run) else outcome
            for outcome in outcomes
        ]

    @staticmethod
    async def _run_alone(tx: Transaction, call: _Call) -> _Run:
        change = Change(tx, call.actor)
        result = await call.work(change)
        if change.altered and not call.fenced:
            raise RuntimeError("a work that alters verdicts is one for `change`")
        return _Run(change, result, call.fenced)

    @classmethod
    async def _run_beside_others(cls, tx: Transaction, call: _Call) -> _Run | Exception:
        try:
            async with tx.savepoint():
                return await cls._run_alone(tx, call)
        except Exception as error:  # noqa: BLE001  # its caller gets it
            return error

    @staticmethod
    async def _finish(tx: Transaction, runs: Sequence[_Run]) -> list[int]:
        """Numbers the alterations and writes the audit; returns the revision that each waits for.

        A work that alters nothing waits for the last one; 0: for none.
        """
        subjects = [subject for run in runs for subject in run.change.altered]
        last = 0
        if subjects:
            last = await tx.feed.advance(subjects)
        elif any(run.fenced for run in runs):
            last = (await tx.feed.head()).revision
        before = last - len(subjects)
        entries: list[AuditEntry] = []
        revisions = []
        for run in runs:
            entries += run.change.entries(before + 1)
            before += len(run.change.altered)
            revisions.append(before if run.change.altered else last * run.fenced)
        await tx.audit.append(entries)
        return revisions


@dataclass(frozen=True, slots=True)
class _Run:
    # A work that has been run, within a transaction that is still open.
    change: Change
    result: Any
    fenced: bool


async def _posted(tx: Transaction, work: Postings[Result]) -> tuple[Result, int]:
    posting = Posting(tx)
    result = await work(posting)
    return result, await posting.finish()


class Unfenced:
    """A `Fence` that doesn't wait: for works that only record, and a restore, which waits by itself."""

    def announce(self, revision: int) -> None:
        pass

    async def wait(self, revision: int) -> Receipt:
        return Receipt(revision)


class Upkeep:
    """As much of a transaction as may change without an entry in the audit."""

    def __init__(self, tx: Transaction) -> None:
        self.time = tx.time
        self.prune_changes = tx.feed.prune
        self.prune_replays = tx.replays.prune
        self.terms = tx.leases.terms
        self.begin_leases = tx.leases.begin
        self.end_leases = tx.leases.end
        self.note_uses = tx.last_used.note


async def upkeep(store: Store, work: Callable[[Upkeep], Awaitable[Result]]) -> Result:
    """Runs and commits *work*, which changes no record and leaves no entry in the audit."""
    return await store.change(lambda tx: work(Upkeep(tx)))
