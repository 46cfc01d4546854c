"""Sessions: the browser holds a token, the books its digest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, delete, insert, or_, select, update

from console.people.database import AnyRow, Database, Transaction
from console.people.errors import NotFound
from console.people.fields import clip
from console.people.person_rows import PERSON, lock_person, person_of
from console.people.records import Origin, Session, digest, new_id, new_token
from console.people.tables import attempts, events, links, people, sessions
from keyauthority.client import Secret

TOUCH: Final = timedelta(minutes=1)
"""The precision of `last_seen_time`, unless sessions end sooner."""
HISTORY: Final = timedelta(days=400)
"""How long events are stored: a year, and time to look back at it."""
ADDRESS_LENGTH: Final = 100
USER_AGENT_LENGTH: Final = 300

_SESSION: Final = (
    sessions.c.id,
    sessions.c.create_time,
    sessions.c.last_seen_time,
    sessions.c.address,
    sessions.c.user_agent,
    sessions.c.method,
)


class Sessions:
    """The sessions. Each ends *idle* after its last use, and *absolute* after it began."""

    def __init__(self, database: Database, idle: timedelta, absolute: timedelta) -> None:
        self._database = database
        self._idle = idle
        self._absolute = absolute
        # Often enough that no session ends while it is used.
        self._touch = min(TOUCH, idle / 4)

    async def begin(
        self, person_id: str, address: str, user_agent: str, method: str
    ) -> tuple[Session, Secret]:
        """Returns a new session and its token, which is stored nowhere.

        Raises `NotFound`, also if the person is disabled, or has no password for *method* `password`.
        """
        token = new_token()
        address = clip(address, ADDRESS_LENGTH)
        user_agent = clip(user_agent, USER_AGENT_LENGTH)
        async with self._database.changing() as tx:
            person = await lock_person(tx, person_id)
            if person.disabled:
                raise NotFound("This person is disabled.")
            # An identity may have replaced the password since it was checked.
            if method == "password" and not person.has_password:
                raise NotFound("This person has no password.")
            row: dict[str, Any] = {
                "id": new_id("session"),
                "create_time": tx.now,
                "last_seen_time": tx.now,
                "address": address,
                "user_agent": user_agent,
                "method": method,
            }
            stored = {"digest": digest(token.reveal()), "person_id": person_id}
            await tx.execute(insert(sessions).values(**row, **stored))
            by = Origin(person.id, person.email, address)
            await tx.record(by, "session.begin", row["id"], method=method)
        return Session(person=person, expire_time=self._end(tx.now, tx.now), **row), token

    async def find(self, token: str) -> Session | None:
        """Returns the session if it has not ended, and notes its use."""
        async with self._database.reading() as tx:
            row = await tx.first(self._current(tx).where(sessions.c.digest == digest(token)))
            now = tx.now
        if row is None:
            return None
        if now - row.last_seen_time < self._touch:
            return self._session(row, row.last_seen_time)
        session = (sessions.c.id == row.id) & (sessions.c.last_seen_time < now)
        async with self._database.changing() as tx:
            await tx.execute(update(sessions).where(session).values(last_seen_time=now))
        return self._session(row, now)

    async def of_person(self, person_id: str) -> list[Session]:
        """Returns the person's sessions, the last used first."""
        async with self._database.reading() as tx:
            query = self._current(tx).where(sessions.c.person_id == person_id)
            ordered = query.order_by(sessions.c.last_seen_time.desc(), sessions.c.id)
            return [self._session(row, row.last_seen_time) for row in await tx.all(ordered)]

    async def end(self, by: Origin, person_id: str, session_id: str) -> None:
        """Ends the session. Raises `NotFound` unless it is one of the person's."""
        session = (sessions.c.person_id == person_id) & (sessions.c.id == session_id)
        async with self._database.changing() as tx:
            if await tx.execute(delete(sessions).where(session)) == 0:
                raise NotFound("There is no such session.")
            await tx.record(by, "session.end", session_id)

    async def end_others(self, by: Origin, person_id: str, keep_session_id: str = "") -> int:
        """Ends all sessions of the person but *keep_session_id*. Returns how many."""
        others = (sessions.c.person_id == person_id) & (sessions.c.id != keep_session_id)
        async with self._database.changing() as tx:
            ended = await tx.execute(delete(sessions).where(others))
            if ended:
                await tx.record(by, "session.end_others", person_id, sessions=str(ended))
        return ended

    async def sweep(self) -> int:
        """Deletes ended sessions, expired links and attempts, and old events. Returns how many."""
        async with self._database.changing() as tx:
            ended = or_(
                sessions.c.last_seen_time <= tx.now - self._idle,
                sessions.c.create_time <= tx.now - self._absolute,
            )
            return (
                await tx.execute(delete(sessions).where(ended))
                + await tx.execute(delete(links).where(links.c.expire_time <= tx.now))
                + await tx.execute(delete(attempts).where(attempts.c.full_time <= tx.now))
                + await tx.execute(delete(events).where(events.c.time < tx.now - HISTORY))
            )

    def _current(self, tx: Transaction) -> Select[*tuple[Any, ...]]:
        query = select(*PERSON, *_SESSION).join_from(sessions, people)
        return query.where(
            sessions.c.last_seen_time > tx.now - self._idle,
            sessions.c.create_time > tx.now - self._absolute,
            people.c.disabled.is_(False),
        )

    def _session(self, row: AnyRow, last_seen_time: datetime) -> Session:
        return Session(
            id=row.id,
            person=person_of(row),
            create_time=row.create_time,
            last_seen_time=last_seen_time,
            expire_time=self._end(row.create_time, last_seen_time),
            address=row.address,
            user_agent=row.user_agent,
            method=row.method,
        )

    def _end(self, create_time: datetime, last_seen_time: datetime) -> datetime:
        return min(create_time + self._absolute, last_seen_time + self._idle)
