"""The sessions as rows, so that any replica can serve any call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, delete, func, select, true, update

from keyauthority.domain.sessions import Allowance, Claim, Grant, Session, Standing
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.joining import BEATS, Joins
from keyauthority.storage.postgres.renewing import (
    ALLOWANCE,
    ALLOWED,
    IN_FORCE,
    Renewals,
    Request,
    allowance_of,
)
from keyauthority.storage.sql.leases import MILLISECOND, TERMS, terms_of
from keyauthority.storage.tables import sessions, terms

_STANDING: Final = (
    select(
        func.array_agg(sessions.c.acknowledged).label("acknowledged"),
        func.array_agg(IN_FORCE).label("in_force"),
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
    *ALLOWANCE,
    sessions.c.late,
).order_by(sessions.c.create_time, sessions.c.id)


class PostgresSessions:
    """`Sessions` in the database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._joins = Joins(database)
        self._renewals = Renewals(database)

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        return await self._joins.join(caller_id, name, claim)

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        return await self._renewals.renew(Request(session_id, caller_id, claim))

    async def allow(
        self, session_id: str, before: Allowance, after: Allowance, *, late: bool = False
    ) -> bool:
        replacing = (
            update(sessions)
            .where(sessions.c.id == session_id, sessions.c.number == before.number, ALLOWED)
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

    async def remove(self, session_id: str, beat: int) -> bool:
        return await self._end(sessions.c.id == session_id, sessions.c.beat == beat)

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

    async def _end(self, *which: ColumnElement[bool]) -> bool:
        async with self._database.changing() as statements:
            return await statements.count(delete(sessions).where(*which)) == 1


def _session(row: Any) -> Session:
    return Session(
        id=row.id,
        caller_id=row.caller_id,
        name=row.name,
        beat=row.beat,
        acknowledged=row.acknowledged,
        create_time=row.create_time,
        sync_time=row.sync_time,
        allowance=allowance_of(row),
        late=row.late,
    )


def _length(milliseconds: int | None) -> timedelta | None:
    return None if milliseconds is None else milliseconds * MILLISECOND


def _milliseconds(length: timedelta | None) -> int | None:
    return None if length is None else length // MILLISECOND
