"""What verifiers are told and granted: the feed of changes, the terms of leases, the grants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, case, delete, func, insert, select, true, update

from keyauthority.coherence.sessions import resets
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import REPLICA, WHOLE, Allowance, Claim, Grant, Head, Terms
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import callers, change, head, sessions, terms

MILLISECOND: Final = timedelta(milliseconds=1)

TERMS: Final = (
    terms.c.lease,
    terms.c.longest_lease,
    terms.c.settling,
    terms.c.foreign_secrets,
    terms.c.version,
)
"""The columns that `terms_of` reads."""


def terms_of(row: Any) -> Terms:
    """The terms of a row with `TERMS`."""
    return Terms(
        lease=row.lease * MILLISECOND,
        longest_lease=row.longest_lease * MILLISECOND,
        settling=bool(row.settling),
        foreign_secrets=bool(row.foreign_secrets),
        version=row.version,
    )


def head_of(row: Any) -> Head:
    """The head of a row of its table."""
    return Head(epoch=row.epoch, revision=row.revision)


class SqlLeases:
    """`Leases` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements
        self.epoch_begun = False

    async def terms(self) -> Terms:
        rows = await self._statements.rows(self._statements.locked(select(*TERMS)))
        return terms_of(rows[0])

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
        return head_of(rows[0])


class SqlFeed:
    """`Feed` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def head(self) -> Head:
        rows = await self._statements.rows(select(head.c.epoch, head.c.revision))
        return head_of(rows[0])

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


TOLD: Final = 1_000
"""How many changes a verifier is told at a time; beyond it a reset is cheaper for both."""

# One row for each change; a row without one if there is none, so that the rest is always there.
GRANT: Final = (
    select(
        head.c.epoch,
        head.c.revision,
        *TERMS,
        callers.c.id.label("caller_id"),
        callers.c.revoke_time,
        select(func.min(change.c.revision)).scalar_subquery().label("oldest_change"),
        change.c.subject,
    )
    .select_from(head)
    .join(terms, true())
    .outerjoin(callers, callers.c.id == bindparam("caller_id"))
    .outerjoin(change, change.c.revision > bindparam("revision"))
    .order_by(change.c.revision)
    .limit(TOLD + 1)
)


def grant(
    rows: Sequence[Any],
    session_id: str,
    caller_id: str,
    claim: Claim,
    allowance: Allowance = WHOLE,
) -> Grant:
    """What the *rows* of `GRANT` say to a session's *claim*; raises `CREDENTIAL_INVALID`.

    *allowance* is the session's from before the rows were read, or as of then.
    """
    first = rows[0]
    if caller_id != REPLICA and (first.caller_id is None or first.revoke_time is not None):
        raise KeyAuthorityError(Reason.CREDENTIAL_INVALID, "the credential is not accepted")
    granted, at = terms_of(first), head_of(first)
    subjects = None
    if not (resets(claim, at) or len(rows) > TOLD or _forgotten(claim, at, first.oldest_change)):
        subjects = tuple(dict.fromkeys(row.subject for row in rows if row.subject is not None))
    lease = allowance.granted(granted.lease)
    return Grant(session_id, at, lease, subjects, granted.foreign_secrets, allowance)


def _forgotten(claim: Claim, at: Head, oldest: int | None) -> bool:
    # Whether changes after the claimed revision were pruned.
    return claim.revision < at.revision and (oldest is None or claim.revision < oldest - 1)
