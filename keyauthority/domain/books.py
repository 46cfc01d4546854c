"""The door to the books: whoever reads or changes them hands in a function of the transaction.

Nothing else opens a transaction: a test holds that. A store may so run the function where its
database is, and several of them in one commit; none of them lets the transaction out.

What leaves an entry in the audit, and what does not: every change to a record does, by whoever it is,
a caller, an operator at the machine or the authority itself. `upkeep` does not; what it can touch is
what no verdict and no record rests on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, TypeVar

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.callers import Actor, Insider
from keyauthority.domain.facts import Fact
from keyauthority.domain.ports import Fence, Store
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Receipt

Result = TypeVar("Result")


class Change:
    """A change under way: the transaction, and what is said to happen in it."""

    def __init__(self, tx: Transaction, actor: Actor | Insider) -> None:
        self.tx = tx
        self._signature = actor.signature
        self._altered: list[tuple[str, str, Sequence[Fact]]] = []
        self._recorded: list[AuditEntry] = []

    def alters(self, subject: str, workspace_id: str, *facts: Fact) -> None:
        """Says what happens to *subject* (a key, workspace or caller id): its verdicts may be others.

        All of it has one revision.
        """
        self._altered.append((subject, workspace_id, facts))

    def records(self, fact: Fact, subject: str = "", workspace_id: str = "") -> None:
        """Says what is new, or happens, that no verifier has to hear of."""
        entry = self._signature.entry(self.tx.time, fact, subject, workspace_id, 0)
        self._recorded.append(entry)

    async def finish(self) -> int:
        """Numbers what was altered and audits everything; the last revision, 0 if there is none."""
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


Work: TypeAlias = Callable[[Change], Awaitable[Result]]
"""What is done to the books in one transaction. An exception in it leaves no trace."""


class Books:
    """The books, with the fence that changes of verdicts wait at."""

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        """What *work* reads, all of it of one state."""
        async with self._store.reading() as tx:
            return await work(tx)

    async def change(self, actor: Actor | Insider, work: Work[Result]) -> tuple[Result, Receipt]:
        """Does *work*, makes it durable, then waits until every verifier knows.

        In this order it takes effect even if its caller, or this process, does not see the wait end.
        A work that alters no verdict waits all the same, for what was altered before: its caller is
        told the same thing.
        """
        async with self._store.changing() as tx:
            result, revision = await _done(tx, actor, work)
            if not revision:
                revision = (await tx.feed.head()).revision
        actor.made(revision)
        return result, await self._fence.wait(revision)

    async def record(self, actor: Actor | Insider, work: Work[Result]) -> Result:
        """Does *work* and makes it durable: what is new or, else, of no weight for any verdict."""
        async with self._store.changing() as tx:
            result, revision = await _done(tx, actor, work)
            if revision:
                raise RuntimeError("a work that alters verdicts is one for `change`")
        return result


async def _done(tx: Transaction, actor: Actor | Insider, work: Work[Result]) -> tuple[Result, int]:
    change = Change(tx, actor)
    result = await work(change)
    return result, await change.finish()


class Unfenced:
    """`Fence` of who has no verifiers to wait for: at a start, and after a restore, which waits itself."""

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
    """Does *work*, which changes no record: nobody did it, so the audit doesn't tell of it."""
    async with store.changing() as tx:
        return await work(Upkeep(tx))
