"""The one path of every change that can alter a verdict: one transaction, revisions, one fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from keyauthority.domain.callers import Actor
from keyauthority.domain.fencing import Receipt
from keyauthority.domain.ports import Fence, Store, Transaction


class Change:
    """A change under way. `receipt` is there once it is made and every verifier knows."""

    receipt: Receipt

    def __init__(self, tx: Transaction) -> None:
        self.tx = tx
        self._altered: list[tuple[str, str, Mapping[str, str]]] = []
        self._created: list[tuple[str, str, Mapping[str, str]]] = []

    def alters(self, subject: str, workspace_id: str = "", **details: str) -> None:
        """Says that *subject* (a key, workspace or caller id) changes, and how, for the audit."""
        self._altered.append((subject, workspace_id, _said(details)))

    def creates(self, subject: str, workspace_id: str = "", **details: str) -> None:
        """Says that *subject* is new, for the audit: it is no change that verifiers have to hear of."""
        self._created.append((subject, workspace_id, _said(details)))

    async def record(self, actor: Actor) -> int:
        """Numbers and audits what changed; the current revision if no verdict did."""
        await self.tx.audit.append(
            [
                actor.entry(self.tx.time, subject, workspace_id, 0, details)
                for subject, workspace_id, details in self._created
            ]
        )
        if not self._altered:
            return (await self.tx.feed.head()).revision
        last = await self.tx.feed.advance([subject for subject, _, _ in self._altered])
        first = last - len(self._altered) + 1
        await self.tx.audit.append(
            [
                actor.entry(self.tx.time, subject, workspace_id, revision, details)
                for revision, (subject, workspace_id, details) in enumerate(self._altered, first)
            ]
        )
        return last


class Changes:
    """Makes a change durable first, then waits until every verifier knows.

    In this order it takes effect even if its caller, or this process, does not see the wait end.
    A call that changes no verdict waits all the same, for what was changed before: its caller is
    told the same thing.
    """

    def __init__(self, store: Store, fence: Fence) -> None:
        self._store = store
        self._fence = fence

    @asynccontextmanager
    async def open(self, actor: Actor) -> AsyncIterator[Change]:
        """Opens the books to a change by *actor*; an exception in the block leaves no trace."""
        async with self._store.changing() as tx:
            change = Change(tx)
            yield change
            revision = await change.record(actor)
        change.receipt = await self._fence.wait(revision)


def _said(details: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in details.items() if value}
