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
from console.people.engines import (
    migrate_postgres,
    postgres_engine,
    prepare_file,
    sqlite_engine,
)
from console.people.history import History
from console.people.memberships import Memberships
from console.people.passwords import Passwords
from console.people.sessions import Sessions
from console.people.submissions import Submissions
from keyauthority.base.relational.location import Location, PostgresUrl

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=7)
PATIENCE = 5.0


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
    patience: float = PATIENCE,
) -> AsyncIterator[People]:
    """The books at *location*. A SQLite file is made and brought to the newest schema.

    Sessions end *idle* after they were last used, and *absolute* after they began. *patience*: seconds
    that is waited for a connection, a lock or an answer.

    Raises `StorageError` for what can't be opened, isn't ours, or is of a newer version; also
    for a PostgreSQL database that isn't migrated.
    """
    engine = await _engine(location, patience)
    database = Database(engine, clock)
    kept = Passwords(hasher or passwords.hasher())
    try:
        yield People(database, kept, idle, absolute)
    finally:
        kept.close()
        await database.close()


async def migrate_people(location: Location) -> None:
    """Brings the database to the newest schema. Raises `StorageError`."""
    if isinstance(location, PostgresUrl):
        await migrate_postgres(location)
    else:
        await asyncio.to_thread(prepare_file, location.resolve())


async def _engine(location: Location, patience: float) -> AsyncEngine:
    if isinstance(location, PostgresUrl):
        return await postgres_engine(location, patience)
    await migrate_people(location)
    return sqlite_engine(location.resolve(), patience)
