"""From a location to the books."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher
from sqlalchemy.ext.asyncio import AsyncEngine

from console.people import passwords
from console.people.acceptance import AcceptedLinks
from console.people.accounts import Accounts
from console.people.attempts import Attempts
from console.people.database import Clock, Database
from console.people.history import History
from console.people.memberships import Memberships
from console.people.passwords import Passwords
from console.people.postgres import check_postgres, migrate_postgres, postgres_engine
from console.people.sessions import Sessions
from console.people.sqlite_file import prepare_file, sqlite_engine
from console.people.submissions import Submissions
from keyauthority.base.relational.location import Location, PostgresUrl

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=7)


class People:
    """The console's own books. Each method is one transaction, and may raise `StoreUnavailable`."""

    def __init__(
        self, database: Database, passwords: Passwords, idle: timedelta, absolute: timedelta
    ) -> None:
        self.accounts = Accounts(database, passwords)
        self.memberships = Memberships(database)
        self.links = AcceptedLinks(database, passwords)
        self.sessions = Sessions(database, idle, absolute)
        self.attempts = Attempts(database)
        self.submissions = Submissions(database)
        self.history = History(database)


def utc_now() -> datetime:
    """The time, by this machine's clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_people(
    location: Location,
    clock: Clock = utc_now,
    *,
    idle: timedelta = IDLE,
    absolute: timedelta = ABSOLUTE,
    hasher: PasswordHasher | None = None,
) -> AsyncIterator[People]:
    """The books at *location*. A SQLite file is made and brought to the newest schema.

    Sessions end *idle* after they were last used, and *absolute* after they began.

    Raises `PeopleStoreError` for what can't be opened, isn't ours, or is of a newer version; also
    for a PostgreSQL database that isn't migrated.
    """
    engine = await _engine(location)
    database = Database(engine, clock)
    kept = Passwords(hasher or passwords.hasher())
    try:
        yield People(database, kept, idle, absolute)
    finally:
        kept.close()
        await database.close()


async def migrate_people(location: Location) -> None:
    """Brings the database to the newest schema. Raises `PeopleStoreError`."""
    if isinstance(location, PostgresUrl):
        await migrate_postgres(location)
    else:
        await asyncio.to_thread(prepare_file, location.resolve())


async def _engine(location: Location) -> AsyncEngine:
    if not isinstance(location, PostgresUrl):
        await migrate_people(location)
        return sqlite_engine(location.resolve())
    engine = postgres_engine(location)
    try:
        await check_postgres(location, engine)
    except BaseException:
        await engine.dispose()
        raise
    return engine
