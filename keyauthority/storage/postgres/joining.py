"""Joins, several in one transaction: those that arrive during one go into the next."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    BigInteger,
    Integer,
    bindparam,
    cast,
    delete,
    extract,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy import (
    Sequence as SqlSequence,
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
"""How many joins go into one transaction. A process runs one such transaction at a time."""

CLOSE: Final = 500
"""How close to its bound a caller is counted exactly, by one transaction after the other.

Farther away, the transactions of several processes may count the same sessions: with P processes, the
last may then exceed the bound by (P - 1) * `TOGETHER` - `CLOSE`, so that three never do.
"""

BEATS: Final = SqlSequence("session_beats")
NOW: Final = cast(
    extract("epoch", func.statement_timestamp()) * literal_column("1000000"), BigInteger
)

_INSERT: Final = insert(sessions).values(create_time=NOW, sync_time=NOW)
_BEATS_FOR: Final = select(BEATS.next_value().label("beat")).select_from(
    func.generate_series(1, bindparam("many", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Join:
    """A session to be, and the future that its verifier waits for."""

    session_id: str
    caller_id: str
    name: str
    claim: Claim
    granted: asyncio.Future[Grant]


Outcomes = dict[str, Grant | Exception]
"""What becomes of each join, by its session's id."""


class Joins:
    """The joins of this process."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._waiting: list[Join] = []
        self._working: asyncio.Task[None] | None = None
        self._close: set[str] = set()

    async def join(self, caller_id: str, name: str, claim: Claim) -> Grant:
        """Joins as `Sessions.join`. If the task is cancelled meanwhile, no session stays."""
        granted: asyncio.Future[Grant] = asyncio.get_running_loop().create_future()
        self._waiting.append(Join(new_id("session"), caller_id, name, claim, granted))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await granted

    async def _work(self) -> None:
        while self._waiting:
            joins = [join for join in self._waiting[:TOGETHER] if not join.granted.done()]
            del self._waiting[:TOGETHER]
            if not joins:
                continue
            try:
                outcomes = await self._insert(joins)
            except Exception as error:  # noqa: BLE001  # whoever waits raises it
                outcomes = dict.fromkeys((join.session_id for join in joins), error)
            abandoned = [join for join in joins if not _answer(join, outcomes[join.session_id])]
            await self._delete(abandoned)

    async def _insert(self, joins: Sequence[Join]) -> Outcomes:
        outcomes: Outcomes | None = None
        while outcomes is None:
            # Again only if another caller turned out to be close to its bound.
            async with self._database.changing() as statements:
                outcomes = await _attempt(statements, joins, self._close)
        return outcomes

    async def _delete(self, joins: Sequence[Join]) -> None:
        # Nobody got their leases, so that no change need wait for them. If this fails, the sweeper
        # does it later.
        if joins:
            abandoned = sessions.c.id.in_([join.session_id for join in joins])
            with suppress(KeyAuthorityError):
                async with self._database.changing() as statements:
                    await statements.count(delete(sessions).where(abandoned))


async def _attempt(
    statements: Statements, joins: Sequence[Join], close: set[str]
) -> Outcomes | None:
    # Returns None, having done nothing, if a caller was added to *close*.
    joining = Counter(join.caller_id for join in joins)
    for caller_id in sorted(joining):
        lock = statements.alone if caller_id in close else statements.together
        await lock(f"sessions of {caller_id}")
    # Waits for a change that already has its number: these sessions are in the books before the next
    # change can commit, so that its fence waits for them.
    locked = select(head.c.epoch, head.c.revision).with_for_update(read=True)
    [row] = await statements.rows(locked)
    room = await _room(statements, joining)
    near = {caller_id for caller_id, left in room.items() if left - joining[caller_id] < CLOSE}
    unlocked = near - close
    close -= room.keys() - near
    close |= near
    if unlocked:
        return None
    outcomes = await _grant(statements, joins, room)
    granted = [join for join in joins if isinstance(outcomes[join.session_id], Grant)]
    if granted:
        beats = await statements.rows(_BEATS_FOR.params(many=len(granted)))
        at = leases.head_of(row)
        rows = [_row(join, beat, at) for join, (beat,) in zip(granted, beats, strict=True)]
        await statements.write(_INSERT, rows)
    return outcomes


async def _room(statements: Statements, joining: Counter[str]) -> dict[str, int]:
    # Counts how many more sessions each caller may have.
    query = (
        select(sessions.c.caller_id, func.count().label("sessions"))
        .where(sessions.c.caller_id.in_(joining))
        .group_by(sessions.c.caller_id)
    )
    counted = {row.caller_id: row.sessions for row in await statements.rows(query)}
    return {caller_id: SESSIONS_PER_CALLER - counted.get(caller_id, 0) for caller_id in joining}


async def _grant(statements: Statements, joins: Sequence[Join], room: dict[str, int]) -> Outcomes:
    rows: dict[tuple[str, int], Sequence[object]] = {}
    outcomes: Outcomes = {}
    for join in joins:
        session_id, caller_id, claim = join.session_id, join.caller_id, join.claim
        if room[caller_id] <= 0:
            outcomes[session_id] = too_many_sessions(SESSIONS_PER_CALLER)
            continue
        question = caller_id, claim.revision
        if question not in rows:
            query = leases.GRANT.params(caller_id=caller_id, revision=claim.revision)
            rows[question] = await statements.rows(query)
        try:
            outcomes[session_id] = leases.grant(rows[question], session_id, caller_id, claim)
        except KeyAuthorityError as refusal:
            outcomes[session_id] = refusal
        else:
            room[caller_id] -= 1
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


def _answer(join: Join, outcome: Grant | Exception) -> bool:
    # Returns whether the session may stay.
    if join.granted.done():
        return not isinstance(outcome, Grant)
    if isinstance(outcome, Grant):
        join.granted.set_result(outcome)
    else:
        join.granted.set_exception(outcome)
    return True
