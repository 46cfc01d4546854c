"""Joins, several in one transaction: those that come while one is made go with the next."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence as Several
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    BigInteger,
    Integer,
    Sequence,
    bindparam,
    cast,
    delete,
    extract,
    func,
    insert,
    literal_column,
    select,
)

from keyauthority.coherence.sessions import credited
from keyauthority.domain.errors import KeyAuthorityError, too_many_sessions
from keyauthority.domain.secrets import new_id
from keyauthority.domain.sessions import SESSIONS_PER_CALLER, Claim, Grant, Head
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.sql import leases
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.tables import head, sessions

TOGETHER: Final = 200
"""How many joins go into one transaction. A process makes one of these at a time."""

CLOSE: Final = 500
"""How near to the bound a caller's joins are made one transaction after the other, and exactly.

Farther away those of several processes may count the same sessions at once: of P processes the last
one may then pass the bound by (P - 1) * `TOGETHER` - `CLOSE`, so that three never do.
"""

BEATS: Final = Sequence("session_beats")
NOW: Final = cast(
    extract("epoch", func.statement_timestamp()) * literal_column("1000000"), BigInteger
)

_INSERT: Final = insert(sessions).values(create_time=NOW, sync_time=NOW)
_BEATS_FOR: Final = select(BEATS.next_value().label("beat")).select_from(
    func.generate_series(1, bindparam("many", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Join:
    """Who wants a session, and is told what it is granted."""

    session_id: str
    caller_id: str
    name: str
    claim: Claim
    granted: asyncio.Future[Grant]


class Joins:
    """Makes the joins of this process."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._waiting: list[Join] = []
        self._making: asyncio.Task[None] | None = None
        self._close: set[str] = set()

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        """As `Sessions.join`. One whose caller is gone meanwhile is not made, or undone."""
        granted: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiting.append(Join(new_id("session"), caller_id, name, claim, granted))
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make())
        return await granted

    async def _make(self) -> None:
        while self._waiting:
            joins = [one for one in self._waiting[:TOGETHER] if not one.granted.done()]
            del self._waiting[:TOGETHER]
            if not joins:
                continue
            try:
                outcomes = await self._made(joins)
            except Exception as error:  # noqa: BLE001  # whoever waits raises it
                outcomes = dict.fromkeys((one.session_id for one in joins), error)
            await self._undo([one for one in joins if not _told(one, outcomes[one.session_id])])

    async def _made(self, joins: Several[Join]) -> dict[str, Grant | Exception]:
        outcomes: dict[str, Grant | Exception] | None = None
        while outcomes is None:
            # Again only if another caller turned out to be close to its bound.
            async with self._database.changing() as statements:
                outcomes = await _attempt(statements, joins, self._close)
        return outcomes

    async def _undo(self, joins: Several[Join]) -> None:
        # Nobody was told of a lease: without the session no change waits for it. If it fails, the
        # sweeper does it later.
        if joins:
            gone = sessions.c.id.in_([one.session_id for one in joins])
            with suppress(KeyAuthorityError):
                async with self._database.changing() as statements:
                    await statements.count(delete(sessions).where(gone))


async def _attempt(
    statements: Statements, joins: Several[Join], close: set[str]
) -> dict[str, Grant | Exception] | None:
    # What becomes of each by its session; None if a caller was added to *close*, and nothing done.
    wanted = Counter(one.caller_id for one in joins)
    for caller_id in sorted(wanted):
        lock = statements.alone if caller_id in close else statements.together
        await lock(f"sessions of {caller_id}")
    # Waits for a change that has its number by now: these sessions are in the books before the next
    # one can be committed, and whoever commits that finds them.
    locked = select(head.c.epoch, head.c.revision).with_for_update(read=True)
    at = leases.head_of((await statements.rows(locked))[0])
    room = await _room(statements, wanted)
    near = {one for one, left in room.items() if left - wanted[one] < CLOSE}
    unlocked = near - close
    close -= room.keys() - near
    close |= near
    if unlocked:
        return None
    outcomes = await _granted(statements, joins, room)
    made = [one for one in joins if isinstance(outcomes[one.session_id], Grant)]
    if made:
        beats = [row.beat for row in await statements.rows(_BEATS_FOR.params(many=len(made)))]
        await statements.count(_INSERT, [_row(*one, at) for one in zip(made, beats, strict=True)])
    return outcomes


async def _room(statements: Statements, wanted: Counter[str]) -> dict[str, int]:
    # How many more sessions each caller may have.
    query = (
        select(sessions.c.caller_id, func.count().label("sessions"))
        .where(sessions.c.caller_id.in_(wanted))
        .group_by(sessions.c.caller_id)
    )
    counted = {row.caller_id: row.sessions for row in await statements.rows(query)}
    return {one: SESSIONS_PER_CALLER - counted.get(one, 0) for one in wanted}


async def _granted(
    statements: Statements, joins: Several[Join], room: dict[str, int]
) -> dict[str, Grant | Exception]:
    told: dict[tuple[str, int], Several[object]] = {}
    outcomes: dict[str, Grant | Exception] = {}
    for one in joins:
        if room[one.caller_id] <= 0:
            outcomes[one.session_id] = too_many_sessions(SESSIONS_PER_CALLER)
            continue
        asked = (one.caller_id, one.claim.revision)
        if asked not in told:
            query = leases.GRANT.params(caller_id=asked[0], revision=asked[1])
            told[asked] = await statements.rows(query)
        try:
            grant = leases.grant(told[asked], one.session_id, one.caller_id, one.claim)
        except KeyAuthorityError as refusal:
            outcomes[one.session_id] = refusal
        else:
            outcomes[one.session_id] = grant
            room[one.caller_id] -= 1
    return outcomes


def _row(join: Join, beat: int, at: Head) -> dict[str, object]:
    return {
        "id": join.session_id,
        "caller_id": join.caller_id,
        "name": join.name,
        "beat": beat,
        "allowed_beat": beat,
        "acknowledged": credited(join.claim, at),
    }


def _told(join: Join, outcome: Grant | Exception) -> bool:
    # Whether the session may stay.
    if join.granted.done():
        return not isinstance(outcome, Grant)
    if isinstance(outcome, Grant):
        join.granted.set_result(outcome)
    else:
        join.granted.set_exception(outcome)
    return True
