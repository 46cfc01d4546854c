"""Renewals, those that wait in one statement: its commit is one for all of them.

Every grant is a commit: so none tells of a change that a failover to a standby could lose.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    true,
    update,
)
from sqlalchemy import column as column_named

from keyauthority.domain.errors import KeyAuthorityError, Reason, session_not_found
from keyauthority.domain.gathering import Gathering
from keyauthority.domain.sessions import REPLICA, Allowance, Claim, Grant
from keyauthority.storage.errors import unavailable
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.direct import storable
from keyauthority.storage.postgres.joining import BEATS, NOW
from keyauthority.storage.sql import leases
from keyauthority.storage.sql.leases import MILLISECOND, MOST_CHANGES, TERMS
from keyauthority.storage.tables import callers, change, head, sessions, terms

TOGETHER: Final = 500
"""How many requests go into one statement."""

AT_ONCE: Final = 2
"""Statements at a time, in one process: the one works while the other is on its way."""

SAME: Final = 3
"""How many requests of one session count, of those that wait together. A verifier makes one at a time,
and another when it has given that one up.
"""

PATIENCE: Final = 1.0
"""Seconds in which a session is tried again that another transaction is changing."""

PAUSE: Final = 0.01
"""Seconds between two attempts."""


@dataclass(frozen=True, slots=True)
class Request:
    """A session's request for a lease, and what it claims to have applied."""

    session_id: str
    caller_id: str
    claim: Claim


Outcome = Grant | KeyAuthorityError | None
"""What becomes of a request. None: another transaction is changing the session."""

# Whether the last renewal was by a version that knows of allowances. If not, the session may hold
# any lease, and its allowance begins anew.
ALLOWED: Final = sessions.c.allowed_beat == sessions.c.beat
LEASE: Final = case((ALLOWED, sessions.c.lease))
IN_FORCE: Final = case((ALLOWED, sessions.c.in_force))
ALLOWANCE: Final = (
    LEASE.label("session_lease"),
    IN_FORCE.label("session_in_force"),
    sessions.c.number.label("session_number"),
)
"""The columns that `allowance_of` reads."""

_requested: Final = func.unnest(
    bindparam("session_ids", type_=ARRAY(Text)),
    bindparam("caller_ids", type_=ARRAY(Text)),
    bindparam("epochs", type_=ARRAY(BigInteger)),
    bindparam("revisions", type_=ARRAY(BigInteger)),
).table_valued(
    column_named("session_id", Text),
    column_named("caller_id", Text),
    column_named("epoch", BigInteger),
    column_named("revision", BigInteger),
    with_ordinality="place",
    joins_implicitly=True,
)
_requests: Final = _requested.render_derived()
_next: Final = select(*_requests.c, BEATS.next_value().label("beat")).cte("requests")

# `coherence.sessions.credited` in SQL, by the head that the grants tell.
_credited: Final = and_(
    _next.c.epoch == head.c.epoch, _next.c.revision <= head.c.revision, _next.c.revision > 0
)
_accepted: Final = or_(
    _next.c.caller_id == REPLICA,
    exists().where(callers.c.id == _next.c.caller_id, callers.c.revoke_time.is_(None)),
)
# Whoever holds the row of one session, and may be gone, keeps no other from being renewed.
_free: Final = (
    select(sessions.c.id)
    .where(sessions.c.id.in_(select(_next.c.session_id)))
    .order_by(sessions.c.id)
    .with_for_update(key_share=True, skip_locked=True)
    .cte("free")
)
_renewed: Final = (
    update(sessions)
    .where(
        sessions.c.id == _next.c.session_id,
        sessions.c.id.in_(select(_free.c.id)),
        sessions.c.caller_id == _next.c.caller_id,
        _accepted,
    )
    .values(
        beat=_next.c.beat,
        allowed_beat=_next.c.beat,
        acknowledged=case(
            (_credited, func.greatest(sessions.c.acknowledged, _next.c.revision)), else_=0
        ),
        sync_time=NOW,
        lease=LEASE,
        in_force=IN_FORCE,
        number=case((ALLOWED, sessions.c.number), else_=_next.c.beat),
    )
    .returning(sessions.c.id)
    .cte("renewed")
)


def _grants(requests: Any, *more: Any) -> Select[Any]:
    # A row for each request, with the head, the terms and the session of one state of the books. The
    # first row also has the latest changes that any of the requests lacks.
    since = select(func.min(requests.c.revision)).scalar_subquery()
    latest = select(change).where(change.c.revision > since)
    latest = latest.order_by(change.c.revision.desc()).limit(MOST_CHANGES + 1)
    changes = latest.subquery("latest")
    lacking = select(
        func.array_agg(changes.c.revision).label("revisions"),
        func.array_agg(changes.c.subject).label("subjects"),
    ).subquery("lacking")
    return (
        select(
            requests.c.place,
            head.c.epoch,
            head.c.revision,
            *TERMS,
            callers.c.id.label("caller_id"),
            callers.c.revoke_time,
            select(func.min(change.c.revision)).scalar_subquery().label("oldest_change"),
            lacking.c.revisions,
            lacking.c.subjects,
            *ALLOWANCE,
            *more,
        )
        .select_from(requests)
        .join(head, true())
        .join(terms, true())
        .outerjoin(callers, callers.c.id == requests.c.caller_id)
        .outerjoin(
            sessions,
            and_(
                sessions.c.id == requests.c.session_id,
                sessions.c.caller_id == requests.c.caller_id,
            ),
        )
        .outerjoin(lacking, requests.c.place == 1)
    )


# One statement: the acknowledgements and the answers are of one state. A head read before would let a
# session be credited with changes that its answer leaves out. The allowances are of that state too,
# and not those that the update reads, which may be newer than the head.
_RENEW: Final = _grants(
    _next,
    sessions.c.id.is_not(None).label("known"),
    exists().where(_renewed.c.id == _next.c.session_id).label("renewed"),
)


class Renewals:
    """The renewals of this process."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._gathering: Gathering[Request, Outcome] = Gathering(
            self._renew, size=lambda _: 1, most=TOGETHER, at_once=AT_ONCE
        )

    async def renew(self, request: Request) -> Grant:
        """Does as `Sessions.renew`. Of many requests of a session the last ones count."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while (outcome := await self._gathering.do(request)) is None:
            if loop.time() >= end:
                raise unavailable("the session is being changed for too long")
            await asyncio.sleep(PAUSE)
        if isinstance(outcome, KeyAuthorityError):
            raise outcome
        return outcome

    async def _renew(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        # A statement updates a row once, and of two requests of a session both may acknowledge.
        last: dict[tuple[str, str], list[int]] = {}
        for place, request in enumerate(requests):
            own = last.setdefault((request.session_id, request.caller_id), [])
            own.append(place)
            del own[:-SAME]
        outcomes: list[Outcome] = [_overtaken() for _ in requests]
        for turn in range(SAME):
            places = [own[turn] for own in last.values() if turn < len(own)]
            if places:
                batch = [requests[place] for place in places]
                done = _outcomes(await self._database.write(_RENEW, **_values(batch)), batch)
                for place, outcome in zip(places, done, strict=True):
                    outcomes[place] = outcome
        return outcomes


def _overtaken() -> KeyAuthorityError:
    return KeyAuthorityError(Reason.OVERLOADED, "the session has asked for a lease too often")


def allowance_of(row: Any) -> Allowance:
    """Returns the allowance of a row with `ALLOWANCE`; a session that has ended has none."""
    lease, in_force = row.session_lease, row.session_in_force
    return Allowance(
        lease=None if lease is None else lease * MILLISECOND,
        in_force=None if in_force is None else in_force * MILLISECOND,
        number=row.session_number or 0,
    )


def _values(requests: Sequence[Request]) -> dict[str, list[Any]]:
    return {
        "session_ids": [storable(request.session_id) for request in requests],
        "caller_ids": [request.caller_id for request in requests],
        "epochs": [request.claim.epoch for request in requests],
        "revisions": [request.claim.revision for request in requests],
    }


def _outcomes(rows: Sequence[Any], requests: Sequence[Request]) -> list[Outcome]:
    by_place = sorted(rows, key=lambda row: row.place)
    first = by_place[0]
    # The latest come first.
    revisions, subjects = (list(reversed(many or ())) for many in (first.revisions, first.subjects))
    return [
        _outcome(row, subjects[bisect_right(revisions, request.claim.revision) :], request)
        for row, request in zip(by_place, requests, strict=True)
    ]


def _outcome(row: Any, subjects: Sequence[str], request: Request) -> Outcome:
    try:
        grant = leases.granted(
            row,
            subjects,
            request.session_id,
            request.caller_id,
            request.claim,
            allowance_of(row),
        )
    except KeyAuthorityError as refusal:
        return refusal
    if not row.known:
        return session_not_found()
    return grant if row.renewed else None
