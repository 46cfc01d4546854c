"""The sessions as rows, so that any replica serves any call."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Sequence,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)

from keyauthority.coherence.claims import credited
from keyauthority.domain.errors import session_not_found, too_many_sessions
from keyauthority.domain.revisions import Claim, Head
from keyauthority.domain.secrets import new_id
from keyauthority.domain.sessions import (
    REPLICA,
    SESSIONS_PER_CALLER,
    Grant,
    Session,
    Standing,
)
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.sql import grants
from keyauthority.storage.sql.leases import TERMS, terms_of
from keyauthority.storage.tables import callers, head, sessions, terms

_BEATS: Final = Sequence("session_beats")
_NOW: Final = cast(
    extract("epoch", func.statement_timestamp()) * literal_column("1000000"), BigInteger
)

_epoch: Final = bindparam("epoch", type_=BigInteger)
_revision: Final = bindparam("revision", type_=BigInteger)
_session_id: Final = bindparam("session_id", type_=Text)
_caller_id: Final = bindparam("caller_id", type_=Text)

# `claims.credited` in SQL, by the head that the grant tells.
_credited: Final = and_(_epoch == head.c.epoch, _revision <= head.c.revision, _revision > 0)
_in_force: Final = or_(
    _caller_id == REPLICA,
    exists().where(callers.c.id == _caller_id, callers.c.revoke_time.is_(None)),
)
_beaten: Final = (
    update(sessions)
    .where(sessions.c.id == _session_id, sessions.c.caller_id == _caller_id, _in_force)
    .values(
        beat=_BEATS.next_value(),
        acknowledged=case((_credited, func.greatest(sessions.c.acknowledged, _revision)), else_=0),
        sync_time=_NOW,
    )
    .returning(sessions.c.id)
    .cte("beaten")
)
# One statement: what it writes down and what it tells are of one state. A head read before would
# let a session be credited with changes that its answer leaves out.
_RENEW: Final = grants.GRANT.add_columns(
    select(func.count()).select_from(_beaten).scalar_subquery()
)

_STANDING: Final = (
    select(func.array_agg(sessions.c.acknowledged), *TERMS)
    .select_from(terms.outerjoin(sessions, true()))
    .group_by(*TERMS)
)
_ALL: Final = select(sessions).order_by(sessions.c.create_time, sessions.c.id)


class PostgresSessions:
    """`Sessions` in the database."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        session_id = new_id("session")
        async with self._database.changing() as statements:
            await statements.alone(f"sessions of {caller_id}")
            # Waits for a change that has its number by now: this session is in the books before the
            # next one can be committed, and whoever commits that finds it.
            locked = select(head.c.epoch, head.c.revision).with_for_update(read=True)
            at = Head(*(await statements.rows(locked))[0])
            count = select(func.count()).where(sessions.c.caller_id == caller_id)
            if (await statements.rows(count))[0][0] >= SESSIONS_PER_CALLER:
                raise too_many_sessions(SESSIONS_PER_CALLER)
            row = {
                "id": session_id,
                "caller_id": caller_id,
                "name": name,
                "beat": _BEATS.next_value(),
                "acknowledged": credited(claim, at),
                "create_time": _NOW,
                "sync_time": _NOW,
            }
            await statements.count(insert(sessions).values(row))
            query = grants.GRANT.params(caller_id=caller_id, revision=claim.revision)
            return grants.grant(await statements.rows(query), session_id, caller_id, claim)

    async def renew(self, session_id: str, caller_id: str, claim: Claim) -> Grant:
        rows = await self._database.write(
            _RENEW,
            session_id=session_id,
            caller_id=caller_id,
            epoch=claim.epoch,
            revision=claim.revision,
        )
        granted = grants.grant([row[:-1] for row in rows], session_id, caller_id, claim)
        if rows[0][-1] == 0:
            raise session_not_found()
        return granted

    async def leave(self, session_id: str, caller_id: str) -> None:
        await self._end(sessions.c.id == session_id, sessions.c.caller_id == caller_id)

    async def remove(self, session_id: str, beat: int) -> None:
        await self._end(sessions.c.id == session_id, sessions.c.beat == beat)

    async def standing(self) -> Standing:
        ((acknowledged, *row),) = await self._database.read(_STANDING)
        # Without a session there is one row all the same, with nothing acknowledged in it.
        said = tuple(one for one in acknowledged if one is not None)
        return Standing(said, terms_of(*row))

    async def all(self) -> list[Session]:
        return [Session(*row) for row in await self._database.read(_ALL)]

    async def _end(self, *which: ColumnElement[bool]) -> None:
        async with self._database.changing() as statements:
            await statements.count(delete(sessions).where(*which))
