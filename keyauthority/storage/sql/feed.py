"""The changes that alter verdicts, numbered in the order in which they commit."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, insert, select, update

from keyauthority.domain.revisions import Head
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import change, head


class SqlFeed:
    """`Feed` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def head(self) -> Head:
        rows = await self._statements.rows(select(head.c.epoch, head.c.revision))
        return Head(*rows[0])

    async def advance(self, subjects: Sequence[str]) -> int:
        # The lock on the one row, held until the commit, makes the order of the revisions the
        # order of the commits, without gaps.
        raised = update(head).values(revision=head.c.revision + len(subjects))
        rows = await self._statements.rows(raised.returning(head.c.revision))
        last: int = rows[0].revision
        first = last - len(subjects) + 1
        changes = [
            {"revision": revision, "subject": subject}
            for revision, subject in enumerate(subjects, first)
        ]
        if changes:
            await self._statements.count(insert(change), changes)
            await self._statements.tell()
        return last

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        query = select(change.c.revision, change.c.subject).where(change.c.revision > revision)
        rows = await self._statements.rows(query.order_by(change.c.revision).limit(limit))
        return [(number, subject) for number, subject in rows]

    async def prune(self, keep: int) -> int:
        newest = select(head.c.revision).scalar_subquery()
        return await self._statements.count(
            delete(change).where(change.c.revision <= newest - keep)
        )
