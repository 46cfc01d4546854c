"""The terms of leases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, delete, select, update

from keyauthority.domain.revisions import Head
from keyauthority.domain.sessions import Terms
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import head, sessions, terms

MILLISECOND: Final = timedelta(milliseconds=1)

TERMS: Final = (
    terms.c.lease,
    terms.c.longest_lease,
    terms.c.settling,
    terms.c.foreign_secrets,
    terms.c.version,
)
"""The columns that `terms_of` takes."""


def terms_of(
    lease: int, longest_lease: int, settling: bool, foreign_secrets: bool, version: int = 0
) -> Terms:
    """The terms of a row of `TERMS`."""
    return Terms(
        lease * MILLISECOND,
        longest_lease * MILLISECOND,
        bool(settling),
        bool(foreign_secrets),
        version,
    )


class SqlLeases:
    """`Leases` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self.epoch_begun = False

    async def terms(self) -> Terms:
        rows = await self._statements.rows(self._statements.locked(select(*TERMS)))
        return terms_of(*rows[0])

    async def put(self, terms_now: Terms) -> None:
        await self._statements.count(
            update(terms).values(
                lease=terms_now.lease // MILLISECOND,
                longest_lease=terms_now.longest_lease // MILLISECOND,
                settling=terms_now.settling,
                foreign_secrets=terms_now.foreign_secrets,
                version=terms.c.version + 1,
            )
        )

    async def begin(self) -> bool:
        if self._statements.dialect == "postgresql":
            return True
        rows = await self._statements.rows(select(terms.c.clean_stop))
        await self._statements.count(update(terms).values(clean_stop=False))
        return bool(rows[0].clean_stop)

    async def end(self) -> None:
        await self._statements.count(update(terms).values(clean_stop=True))

    async def begin_epoch(self, time: datetime) -> Head:
        at = int(time.timestamp() * 1000)
        # The terms first, as in a change that alters both; the sessions last, when none can join.
        await self._statements.count(update(terms).values(settling=True, clean_stop=False))
        # Never one that was begun before, also if the same backup is restored once more: verifiers
        # would take one set of books for the other.
        latest = case((head.c.epoch >= at, head.c.epoch + 1), else_=at)
        raised = update(head).values(epoch=latest)
        rows = await self._statements.rows(raised.returning(head.c.epoch, head.c.revision))
        await self._statements.count(delete(sessions))
        self.epoch_begun = True
        return Head(*rows[0])
