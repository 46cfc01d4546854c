"""The only door to the books: a use case hands in a function of the transaction (*work*).

So a store can run *work* where its database is, and several works in one commit. A work must not
keep the transaction.

Every change to a record leaves an entry in the audit, whoever makes it: a caller, an operator at the
machine or the authority itself. `post` leaves none: the ledger's own entries are the record of what it
changes. `upkeep` leaves none; no record and no verdict depends on what it changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.callers import Actor, Insider
from keyauthority.domain.facts import Fact
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

    async def finish(self) -> int:
        """Numbers the alterations, writes the audit, and returns the last revision; 0: none."""
        last = 0
        if self._altered:
            last = await self.tx.feed.advance([subject for subject, _, _ in self._altered])
        first = last - len(self._altered) + 1
        altered = [
            self._signature.entry(self.tx.time, fact, subject, workspace_id, revision)
            for revision, (subject, workspace_id, facts) in enumerate(self._altered, first)
            for fact in facts
        ]
        await self.tx.audit.append([*self._recorded, *altered])
        return last


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
"""How many postings are in the books at once, in one process. The others wait outside: a revocation
must not wait for a queue of them, for the one connection to SQLite or one of those to PostgreSQL.
"""
POSTS_IN_FORCE: Final = 2
"""The same of those that wait until they are in force: whoever brings them delays no verifier."""


class Books:
    """The books, and the fence that changes wait at."""

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence
        self._posts = asyncio.Semaphore(POSTS)
        self._posts_in_force = asyncio.Semaphore(POSTS_IN_FORCE)

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """Returns what *work* reads, all of it from one state of the books."""
        async with self._store.reading() as tx:
            return await work(tx)

    async def change(self, actor: Actor | Insider, work: Work[Result]) -> tuple[Result, Receipt]:
        """Runs *work*, commits it, then waits until every verifier has applied it.

        The change takes effect even if its caller, or this process, does not see the end of the wait.
        A work that alters nothing waits for earlier changes: a repeated revocation promises no less
        than the first.
        """
        async with self._store.changing() as tx:
            result, revision = await _run(tx, actor, work)
            if not revision:
                revision = (await tx.feed.head()).revision
        if actor.on_durable is not None:
            actor.on_durable(revision)
        return result, await self._fence.wait(revision)

    async def record(self, actor: Actor | Insider, work: Work[Result]) -> Result:
        """Runs and commits *work*, which changes no verdict that a verifier may hold."""
        async with self._store.changing() as tx:
            result, revision = await _run(tx, actor, work)
            if revision:
                raise RuntimeError("a work that alters verdicts is one for `change`")
        return result

    async def post(self, work: Postings[Result]) -> Result:
        """Runs and commits *work*, which brings what verifiers spend, and announces what it says.

        It does not wait: whoever spends what is gone meanwhile is charged all the same.
        """
        async with self._posts, self._store.changing() as tx:
            posting = Posting(tx)
            result = await work(posting)
            revision = await posting.finish()
        if revision:
            self._fence.announce(revision)
        return result

    async def post_in_force(self, actor: Actor, work: Postings[Result]) -> tuple[Result, Receipt]:
        """Does the same, then waits until every verifier has applied what it announces, as `change`."""
        async with self._posts_in_force, self._store.changing() as tx:
            posting = Posting(tx)
            result = await work(posting)
            revision = await posting.finish() or (await tx.feed.head()).revision
        if actor.on_durable is not None:
            actor.on_durable(revision)
        return result, await self._fence.wait(revision)


async def _run(tx: Transaction, actor: Actor | Insider, work: Work[Result]) -> tuple[Result, int]:
    change = Change(tx, actor)
    result = await work(change)
    return result, await change.finish()


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
    async with store.changing() as tx:
        return await work(Upkeep(tx))
