"""Sign-ins that last, kept on this side: the browser has a token, the books its digest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, or_, select, update

from console.people.database import Database, Found, Transaction
from console.people.errors import NotFound
from console.people.fields import clipped
from console.people.persons import PERSON, locked_person, person_of
from console.people.records import Origin, Session
from console.people.tables import attempts, events, links, people, sessions
from console.people.tokens import digest, new_id, new_token
from keyauthority.client import Secret

TOUCH: Final = timedelta(minutes=1)
"""How exactly it is known when a session was last used, unless it ends sooner."""
HISTORY: Final = timedelta(days=400)
"""How long it is kept what people did: a year, and time to look back at it."""
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
    """A session ends *idle* after it was last used, and *absolute* after it began."""

    def __init__(self, database: Database, idle: timedelta, absolute: timedelta) -> None:
        self._database = database
        self._idle = idle
        self._absolute = absolute
        # Often enough that nobody's session ends while they use it.
        self._touch = min(TOUCH, idle / 4)

    async def begin(
        self, person_id: str, address: str, user_agent: str, method: str
    ) -> tuple[Session, Secret]:
        """A new session, and its token, which is told this once.

        Raises `NotFound`, for who is disabled too, or has no password to have signed in with.
        """
        token = new_token()
        values = {
            "id": new_id("session"),
            "address": clipped(address, ADDRESS_LENGTH),
            "user_agent": clipped(user_agent, USER_AGENT_LENGTH),
            "method": method,
        }
        async with self._database.changing() as tx:
            person = await locked_person(tx, person_id)
            if person.disabled:
                raise NotFound("This person is disabled.")
            # The provider's word may have taken its place since it was found right.
            if method == "password" and not person.has_password:
                raise NotFound("This person has no password.")
            times = {"create_time": tx.now, "last_seen_time": tx.now}
            own = {"digest": digest(token.reveal()), "person_id": person_id}
            await tx.count(tx.insert(sessions).values(**values, **times, **own))
            by = Origin(person.id, person.email, values["address"])
            await tx.record(by, "session.begin", values["id"], method=method)
            now, end = tx.now, self._end(tx.now, tx.now)
        return Session(
            values["id"], person, now, now, end, values["address"], values["user_agent"], method
        ), token

    async def find(self, token: str) -> Session | None:
        """The session, if it lasts; it is used by being found."""
        async with self._database.reading() as tx:
            row = await tx.one(self._lasting(tx).where(sessions.c.digest == digest(token)))
            now = tx.now
        if row is None:
            return None
        if now - row.last_seen_time >= self._touch:
            which = (sessions.c.id == row.id, sessions.c.last_seen_time < now)
            async with self._database.changing() as tx:
                await tx.count(update(sessions).where(*which).values(last_seen_time=now))
            return self._session(row, now)
        return self._session(row, row.last_seen_time)

    async def of_person(self, person_id: str) -> list[Session]:
        """The person's sessions that last, the one used last first."""
        async with self._database.reading() as tx:
            query = self._lasting(tx).where(sessions.c.person_id == person_id)
            in_order = query.order_by(sessions.c.last_seen_time.desc(), sessions.c.id)
            return [self._session(row, row.last_seen_time) for row in await tx.all(in_order)]

    async def end(self, by: Origin, person_id: str, session_id: str) -> None:
        """Raises `NotFound` unless it is a session of that person."""
        which = (sessions.c.person_id == person_id, sessions.c.id == session_id)
        async with self._database.changing() as tx:
            if await tx.count(delete(sessions).where(*which)) == 0:
                raise NotFound("There is no such session.")
            await tx.record(by, "session.end", session_id)

    async def end_others(self, by: Origin, person_id: str, keep_session_id: str = "") -> int:
        """Ends all sessions of the person but *keep_session_id*; gives how many."""
        which = (sessions.c.person_id == person_id, sessions.c.id != keep_session_id)
        async with self._database.changing() as tx:
            ended = await tx.count(delete(sessions).where(*which))
            if ended:
                await tx.record(by, "session.end_others", person_id, sessions=str(ended))
        return ended

    async def sweep(self) -> int:
        """Drops what has ended, and old history; gives how many rows.

        Those are sessions with their submissions, links, attempts and events.
        """
        async with self._database.changing() as tx:
            ended = or_(
                sessions.c.last_seen_time <= tx.now - self._idle,
                sessions.c.create_time <= tx.now - self._absolute,
            )
            return (
                await tx.count(delete(sessions).where(ended))
                + await tx.count(delete(links).where(links.c.expire_time <= tx.now))
                + await tx.count(delete(attempts).where(attempts.c.full_time <= tx.now))
                + await tx.count(delete(events).where(events.c.time < tx.now - HISTORY))
            )

    def _lasting(self, tx: Transaction) -> Select[*tuple[Any, ...]]:
        lasting: tuple[ColumnElement[bool], ...] = (
            sessions.c.last_seen_time > tx.now - self._idle,
            sessions.c.create_time > tx.now - self._absolute,
            people.c.disabled.is_(False),
        )
        return select(*PERSON, *_SESSION).join_from(sessions, people).where(*lasting)

    def _session(self, row: Found, last_seen_time: datetime) -> Session:
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
