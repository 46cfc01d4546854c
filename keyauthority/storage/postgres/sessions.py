"""The sessions as rows, so that any replica can serve any call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    true,
    update,
)

from keyauthority.domain.errors import session_not_found
from keyauthority.domain.sessions import REPLICA, Allowance, Claim, Grant, Session, Standing
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.joining import BEATS, NOW, Joins
from keyauthority.storage.sql import leases
from keyauthority.storage.sql.leases import MILLISECOND, TERMS, terms_of
from keyauthority.storage.tables import callers, head, sessions, terms

_epoch: Final = bindparam("epoch", type_=BigInteger)
_revision: Final = bindparam("revision", type_=BigInteger)
_session_id: Final = bindparam("session_id", type_=Text)
_caller_id: Final = bindparam("caller_id", type_=Text)

# Whether the last renewal was by a version that knows of allowances. If not, the session may hold
# any lease, and its allowance begins anew.
_allowed: Final = sessions.c.allowed_beat == sessions.c.beat
_lease: Final = case((_allowed, sessions.c.lease))
_in_force: Final = case((_allowed, sessions.c.in_force))
_ALLOWANCE: Final = (_lease.label("lease"), _in_force.label("in_force"), sessions.c.number)

# `coherence.sessions.credited` in SQL, by the head that the grant tells.
_credited: Final = and_(_epoch == head.c.epoch, _revision <= head.c.revision, _revision > 0)
_accepted: Final = or_(
    _caller_id == REPLICA,
    exists().where(callers.c.id == _caller_id, callers.c.revoke_time.is_(None)),
)
_next: Final = select(BEATS.next_value().label("beat")).cte("next")
_beaten: Final = (
    update(sessions)
    .where(sessions.c.id == _session_id, sessions.c.caller_id == _caller_id, _accepted)
    .values(
        beat=_next.c.beat,
        allowed_beat=_next.c.beat,
        acknowledged=case((_credited, func.greatest(sessions.c.acknowledged, _revision)), else_=0),
        sync_time=NOW,
        lease=_lease,
        in_force=_in_force,
        number=case((_allowed, sessions.c.number), else_=_next.c.beat),
    )
    .returning(sessions.c.id)
    .cte("beaten")
)
_own: Final = sessions.c.id == _session_id
# One statement: the acknowledgement and the answer are of one state. A head read before would let a
# session be credited with changes that its answer leaves out. The allowance is of that state too,
# and not the one that the update reads, which may be newer than the head.
_RENEW: Final = leases.GRANT.add_columns(
    *(
        select(column).where(_own).scalar_subquery().label(f"session_{column.key}")
        for column in _ALLOWANCE
    ),
    select(func.count()).select_from(_beaten).scalar_subquery().label("beaten"),
)

_STANDING: Final = (
    select(
        func.array_agg(sessions.c.acknowledged).label("acknowledged"),
        func.array_agg(_in_force).label("in_force"),
        *TERMS,
    )
    .select_from(terms.outerjoin(sessions, true()))
    .group_by(*TERMS)
)
_CALLERS_OF: Final = select(sessions.c.id, sessions.c.caller_id).where(
    sessions.c.id.in_(bindparam("ids", expanding=True))
)
_ALL: Final = select(
    sessions.c.id,
    sessions.c.caller_id,
    sessions.c.name,
    sessions.c.beat,
    sessions.c.acknowledged,
    sessions.c.create_time,
    sessions.c.sync_time,
    *(column.label(f"session_{column.key}") for column in _ALLOWANCE),
    sessions.c.late,
).order_by(sessions.c.create_time, sessions.c.id)


class PostgresSessions:
    """`Sessions` in the database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._joins = Joins(database)

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        return await self._joins.join(caller_id, name, claim)

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        rows = await self._database.write(
            _RENEW,
            session_id=session_id,
            caller_id=caller_id,
            epoch=claim.epoch,
            revision=claim.revision,
        )
        grant = leases.grant(rows, session_id, caller_id, claim, _allowance(rows[0]))
        if rows[0].beaten == 0:
            raise session_not_found()
        return grant

    async def allow(
        self, session_id: str, before: Allowance, after: Allowance, *, late: bool = False
    ) -> bool:
        replacing = (
            update(sessions)
            .where(sessions.c.id == session_id, sessions.c.number == before.number, _allowed)
            .values(
                lease=_milliseconds(after.lease),
                in_force=_milliseconds(after.in_force),
                number=BEATS.next_value(),
                late=sessions.c.late + int(late),
            )
        )
        async with self._database.changing() as statements:
            return await statements.count(replacing) == 1

    async def leave(self, session_id: str, caller_id: str) -> None:
        await self._end(sessions.c.id == session_id, sessions.c.caller_id == caller_id)

    async def remove(self, session_id: str, beat: int) -> None:
        await self._end(sessions.c.id == session_id, sessions.c.beat == beat)

    async def callers_of(self, session_ids: Collection[str]) -> dict[str, str]:
        rows = await self._database.read(_CALLERS_OF, ids=list(session_ids))
        return {row.id: row.caller_id for row in rows}

    async def standing(self) -> Standing:
        [row] = await self._database.read(_STANDING)
        # Without any session there is still one row, in which nothing is acknowledged.
        if row.acknowledged == [None]:
            return Standing({}, terms_of(row))
        in_force = map(_length, row.in_force)
        return Standing(Counter(zip(row.acknowledged, in_force, strict=True)), terms_of(row))

    async def all(self) -> list[Session]:
        return [_session(row) for row in await self._database.read(_ALL)]

    async def _end(self, *which: ColumnElement[bool]) -> None:
        async with self._database.changing() as statements:
            await statements.count(delete(sessions).where(*which))


def _session(row: Any) -> Session:
    return Session(
        id=row.id,
        caller_id=row.caller_id,
        name=row.name,
        beat=row.beat,
        acknowledged=row.acknowledged,
        create_time=row.create_time,
        sync_time=row.sync_time,
        allowance=_allowance(row),
        late=row.late,
    )


def _allowance(row: Any) -> Allowance:
    # A session that has ended has none.
    return Allowance(
        lease=_length(row.session_lease),
        in_force=_length(row.session_in_force),
        number=row.session_number or 0,
    )


def _length(milliseconds: int | None) -> timedelta | None:
    return None if milliseconds is None else milliseconds * MILLISECOND


def _milliseconds(length: timedelta | None) -> int | None:
    return None if length is None else length // MILLISECOND
