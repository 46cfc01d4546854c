"""The console's own books: people, their memberships, invitations and sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from argon2 import PasswordHasher

from console.people.accounts import Accounts
from console.people.attempts import Attempts
from console.people.database import Clock, Database
from console.people.engines import migrate_people, open_engine
from console.people.errors import (
    AlreadyMember,
    AnotherIdentity,
    EmailTaken,
    FieldInvalid,
    IdentityTaken,
    LastAdministrator,
    LastOwner,
    LinkForAnother,
    LinkInvalid,
    NotFound,
    OwnAccount,
    PeopleError,
    StoreUnavailable,
    WeakPassword,
)
from console.people.history import History
from console.people.links import Links
from console.people.memberships import Memberships
from console.people.passwords import Passwords
from console.people.records import (
    Event,
    Identity,
    Limit,
    Link,
    LinkPurpose,
    Member,
    Membership,
    Origin,
    Password,
    Person,
    Role,
    Session,
    Submission,
    SubmissionState,
)
from console.people.sessions import Sessions
from console.people.submissions import Submissions
from console.people.tables import events
from keyauthority.base.relational.location import Location

__all__ = [
    "AlreadyMember",
    "AnotherIdentity",
    "EmailTaken",
    "Event",
    "FieldInvalid",
    "Identity",
    "IdentityTaken",
    "LastAdministrator",
    "LastOwner",
    "Limit",
    "Link",
    "LinkForAnother",
    "LinkInvalid",
    "LinkPurpose",
    "Member",
    "Membership",
    "NotFound",
    "Origin",
    "OwnAccount",
    "Password",
    "People",
    "PeopleError",
    "Person",
    "Role",
    "Session",
    "StoreUnavailable",
    "Submission",
    "SubmissionState",
    "WeakPassword",
    "migrate_people",
    "open_people",
]


class People:
    """The console's books. Each method is one transaction, and may raise `StoreUnavailable`."""

    def __init__(
        self, database: Database, passwords: Passwords, idle: timedelta, absolute: timedelta
    ) -> None:
        self.accounts = Accounts(database, passwords)
        self.memberships = Memberships(database)
        self.links = Links(database, passwords)
        self.sessions = Sessions(database, idle, absolute)
        self.attempts = Attempts(database)
        self.submissions = Submissions(database)
        self.history = History(database)


@asynccontextmanager
async def open_people(
    location: Location,
    clock: Clock = lambda: datetime.now(UTC),
    *,
    idle: timedelta = timedelta(hours=12),
    absolute: timedelta = timedelta(days=7),
    hasher: PasswordHasher | None = None,
    patience: float = 5.0,
) -> AsyncIterator[People]:
    """Opens the books at *location*; makes and migrates a SQLite file.

    Sessions end *idle* after their last use, and *absolute* after they began. *patience*: seconds to
    wait for a connection, a lock or an answer.

    Raises `StorageError` for a database that can't be opened, is another program's, is of a newer
    version, or, on PostgreSQL, isn't migrated.
    """
    engine = await open_engine(location, patience)
    # argon2's default parameters are those of RFC 9106 for scarce memory.
    passwords = Passwords(hasher or PasswordHasher())
    try:
        yield People(Database(engine, clock, events), passwords, idle, absolute)
    finally:
        passwords.close()
        await engine.dispose()
