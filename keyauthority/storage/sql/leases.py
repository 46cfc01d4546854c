"""The feed of changes, the terms of leases, and what sessions are granted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, case, delete, func, insert, select, true, update

from keyauthority.coherence.sessions import resets
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import REPLICA, WHOLE, Allowance, Claim, Grant, Head, Terms
from keyauthority.storage.sql.statements import Repository
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
    """Returns the terms of a row with `TERMS`."""
    return Terms(
        lease=row.lease * MILLISECOND,
        longest_lease=row.longest_lease * MILLISECOND,
        settling=bool(row.settling),
        foreign_secrets=bool(row.foreign_secrets),
        version=row.version,
    )


def head_of(row: Any) -> Head:
    """Returns the head of a row of its table."""
    return Head(epoch=row.epoch, revision=row.revision)


class SqlLeases(Repository):
    """`Leases` within one transaction."""

    async def terms(self) -> Terms:
        [row] = await self._statements.rows(self._statements.locked(select(*TERMS)))
        return terms_of(row)

    async def put(self, new_terms: Terms) -> None:
        await self._statements.count(
            update(terms).values(
                lease=new_terms.lease // MILLISECOND,
                longest_lease=new_terms.longest_lease // MILLISECOND,
                settling=new_terms.settling,
                foreign_secrets=new_terms.foreign_secrets,
                version=terms.c.version + 1,
            )
        )

    async def begin(self) -> bool:
        # Sessions that are rows outlive every process: nothing is unknown at a start.
        return True

    async def end(self) -> None:
        await self._statements.count(update(terms).values(clean_stop=True))

    async def begin_epoch(self, time: datetime) -> Head:
        at = int(time.timestamp() * 1000)
        # The terms first, as in every change of both; the sessions last, when none can join.
        await self._statements.count(update(terms).values(settling=True, clean_stop=False))
        # Never an epoch that was begun before, even if the same backup is restored again: verifiers
        # would take one set of books for the other.
        latest = case((head.c.epoch >= at, head.c.epoch + 1), else_=at)
        raised = update(head).values(epoch=latest)
        [row] = await self._statements.rows(raised.returning(head.c.epoch, head.c.revision))
        await self._statements.count(delete(sessions))
        return head_of(row)


class SqlFeed(Repository):
    """`Feed` within one transaction."""

    async def head(self) -> Head:
        [row] = await self._statements.read(_HEAD)
        return head_of(row)

    async def advance(self, subjects: Sequence[str]) -> int:
        # The lock on the one row, held until the commit, makes the order of the revisions the
        # order of the commits, without gaps.
        [row] = await self._statements.read(_ADVANCED, by=len(subjects))
        last: int = row.revision
        changes = [
            {"revision": revision, "subject": subject}
            for revision, subject in enumerate(subjects, last - len(subjects) + 1)
        ]
        await self._statements.write(_CHANGES, changes)
        if changes:
            await self._statements.notify()
        return last

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        query = select(change.c.revision, change.c.subject).where(change.c.revision > revision)
        rows = await self._statements.rows(query.order_by(change.c.revision).limit(limit))
        return [(row.revision, row.subject) for row in rows]

    async def prune(self, keep: int) -> int:
        newest = select(head.c.revision).scalar_subquery()
        old = change.c.revision <= newest - keep
        return await self._statements.count(delete(change).where(old))


_HEAD: Final = select(head.c.epoch, head.c.revision)
_ADVANCED: Final = (
    update(head)
    .values(revision=head.c.revision + bindparam("by", type_=BigInteger))
    .returning(head.c.revision)
)
_CHANGES: Final = insert(change)

MOST_CHANGES: Final = 1_000
"""How many changes one grant tells a verifier; beyond it a reset is cheaper for both."""

# One row for each change; without changes, one row with the rest.
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
    .limit(MOST_CHANGES + 1)
)


def grant(
    rows: Sequence[Any],
    session_id: str,
    caller_id: str,
    claim: Claim,
    allowance: Allowance = WHOLE,
) -> Grant:
    """Returns the grant that answers *claim* by the *rows* of `GRANT`; raises `CREDENTIAL_INVALID`.

    *allowance* is the one that the session had when the rows were read, or before.
    """
    subjects = [row.subject for row in rows if row.subject is not None]
    return granted(rows[0], subjects, session_id, caller_id, claim, allowance)


def granted(
    row: Any,
    subjects: Sequence[str],
    session_id: str,
    caller_id: str,
    claim: Claim,
    allowance: Allowance,
) -> Grant:
    """Does the same by one row of them and the *subjects* of the claim's changes, the oldest first.

    There is one subject for each change; of more than `MOST_CHANGES`, at least one more.
    """
    if caller_id != REPLICA and (row.caller_id is None or row.revoke_time is not None):
        raise KeyAuthorityError(Reason.CREDENTIAL_INVALID, "the credential is not accepted")
    terms_now, at = terms_of(row), head_of(row)
    told = None
    pruned = _pruned(claim, at, row.oldest_change)
    if not (resets(claim, at) or len(subjects) > MOST_CHANGES or pruned):
        told = tuple(dict.fromkeys(subjects))
    lease = allowance.granted(terms_now.lease)
    return Grant(session_id, at, lease, told, terms_now.foreign_secrets, allowance)


def _pruned(claim: Claim, at: Head, oldest: int | None) -> bool:
    # Whether changes after the claimed revision were pruned.
    return claim.revision < at.revision and (oldest is None or claim.revision < oldest - 1)
