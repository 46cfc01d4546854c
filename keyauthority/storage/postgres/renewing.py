"""Renewals, those that wait in one statement: its commit is one for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
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
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy import column as column_named

from keyauthority.domain.errors import KeyAuthorityError, session_not_found
from keyauthority.domain.gathering import Gathering
from keyauthority.domain.sessions import REPLICA, Allowance, Claim, Grant
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.direct import storable
from keyauthority.storage.postgres.joining import BEATS, NOW
from keyauthority.storage.postgres.statements import ACKNOWLEDGED
from keyauthority.storage.sql import leases
from keyauthority.storage.sql.leases import MILLISECOND, MOST_CHANGES, TERMS
from keyauthority.storage.tables import callers, change, head, sessions, terms

TOGETHER: Final = 500
"""How many requests go into one statement."""

AT_ONCE: Final = 2
"""Statements of each kind at a time, in one process: the one works while the other is on its way."""


@dataclass(frozen=True, slots=True)
class Request:
    """A session's request for a lease, and what it claims to have applied."""

    session_id: str
    caller_id: str
    claim: Claim


Outcome = Grant | KeyAuthorityError
"""What becomes of a request."""

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
_read: Final = select(*_requests.c).cte("requests")

# `coherence.sessions.credited` in SQL, by the head that the grants tell.
_credited: Final = and_(
    _next.c.epoch == head.c.epoch, _next.c.revision <= head.c.revision, _next.c.revision > 0
)
_accepted: Final = or_(
    _next.c.caller_id == REPLICA,
    exists().where(callers.c.id == _next.c.caller_id, callers.c.revoke_time.is_(None)),
)
_renewed: Final = (
    update(sessions)
    .where(
        sessions.c.id == _next.c.session_id, sessions.c.caller_id == _next.c.caller_id, _accepted
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
    .returning(sessions.c.id, sessions.c.acknowledged)
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


# In this statement `sessions` is as it was before the update, and of the same state as the head.
_moved: Final = (
    select(_renewed.c.acknowledged, func.count().label("sessions"))
    .select_from(_renewed.join(sessions, sessions.c.id == _renewed.c.id))
    .where(_renewed.c.acknowledged > sessions.c.acknowledged)
    .group_by(_renewed.c.acknowledged)
    .subquery("moved")
)
_told: Final = select(
    func.string_agg(func.concat(_moved.c.acknowledged, ":", _moved.c.sessions), literal(","))
).scalar_subquery()
_hint: Final = select(func.pg_notify(ACKNOWLEDGED, _told)).where(_told.is_not(None))

# One statement: the acknowledgements and the answers are of one state. A head read before would let a
# session be credited with changes that its answer leaves out. The allowances are of that state too,
# and not those that the update reads, which may be newer than the head.
_RENEW: Final = _grants(
    _next,
    exists().where(_renewed.c.id == _next.c.session_id).label("stands"),
    case(
        (_next.c.place == 1, select(func.count()).select_from(_hint.subquery()).scalar_subquery())
    ).label("hinted"),
)
_READ: Final = _grants(_read, sessions.c.id.is_not(None).label("stands"))


class Renewals:
    """The renewals of this process, and the grants to requests that were held meanwhile."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._renewing = self._gathering(self._renew)
        self._reading = self._gathering(self._read)

    async def renew(self, request: Request) -> Grant:
        """Does as `Sessions.renew`."""
        return _granted(await self._renewing.do(request))

    async def read(self, request: Request) -> Grant:
        """Does as `Sessions.grant_again`."""
        return _granted(await self._reading.do(request))

    def _gathering(
        self, work: Callable[[Sequence[Request]], Awaitable[Sequence[Outcome]]]
    ) -> Gathering[Request, Outcome]:
        return Gathering(work, size=lambda _: 1, most=TOGETHER, at_once=AT_ONCE)

    async def _renew(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        # A statement updates a row once, and of two requests of a session both may acknowledge.
        outcomes: dict[int, Outcome] = {}
        left = dict(enumerate(requests))
        while left:
            places = {request.session_id: place for place, request in reversed(left.items())}
            # In one order, so that no two statements wait for each other's rows.
            batch = [left.pop(places[session_id]) for session_id in sorted(places)]
            done = _outcomes(await self._database.write(_RENEW, **_values(batch)), batch)
            outcomes.update(zip((places[one.session_id] for one in batch), done, strict=True))
        return [outcomes[place] for place in range(len(requests))]

    async def _read(self, requests: Sequence[Request]) -> Sequence[Outcome]:
        return _outcomes(await self._database.write(_READ, **_values(requests)), requests)


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
    # The latest first, as they were read.
    changes = list(zip(first.revisions or (), first.subjects or (), strict=True))[::-1]
    lacking: dict[int, list[str]] = {}
    outcomes = []
    for row, request in zip(by_place, requests, strict=True):
        after = request.claim.revision
        if after not in lacking:
            lacking[after] = [subject for revision, subject in changes if revision > after]
        outcomes.append(_outcome(row, lacking[after], request))
    return outcomes


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
    return grant if row.stands else session_not_found()


def _granted(outcome: Outcome) -> Grant:
    if isinstance(outcome, KeyAuthorityError):
        raise outcome
    return outcome
