"""People, a clock that is moved by hand, and looking behind the books."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from argon2 import PasswordHasher

from console.people import (
    Identity,
    Origin,
    Password,
    People,
    PeopleError,
    Person,
    Role,
    open_people,
)
from keyauthority.base.relational.location import Location, PostgresUrl
from tests.postgres import run_sql

PASSWORD: Final = "two blue herons"
NEW_PASSWORD: Final = "three green herons"
CHEAP: Final = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
ISSUER: Final = "https://id.example.com"
CONSOLE: Final = Origin("", "", "")


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, time: datetime = datetime(2026, 11, 25, 12, 39, tzinfo=UTC)) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **duration: float) -> None:
        self.time += timedelta(**duration)


class WatchedHasher(PasswordHasher):
    """As cheap as `CHEAP`; what a test sets is called first, in the thread that hashes."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.before_hashing: Callable[[], object] = lambda: None
        self.before_verifying: Callable[[str], object] = lambda _: None

    def hash(self, *args: Any, **options: Any) -> str:
        self.before_hashing()
        return super().hash(*args, **options)

    def verify(self, *args: Any, **options: Any) -> Literal[True]:
        self.before_verifying(args[0])
        return super().verify(*args, **options)


def opened(
    location: Location, clock: ManualClock, **options: Any
) -> AbstractAsyncContextManager[People]:
    """The books, with passwords that are hashed quickly."""
    return open_people(location, clock, **{"hasher": CHEAP, **options})


async def administrator(people: People, workspace_id: str = "ws_1") -> Person:
    token = (await people.links.new_setup()).reveal()
    return await people.links.accept_setup(
        token, "Ada@example.com", "Ada", Password(PASSWORD), [workspace_id], "192.0.2.1"
    )


async def member(
    people: People, owner: Person, email: str, role: Role = Role.MEMBER, workspace_id: str = "ws_1"
) -> Person:
    """Somebody new who accepted an invitation."""
    _, token = await people.links.invite(by(owner), workspace_id, email, role)
    name = email.partition("@")[0]
    return await people.links.accept_invitation(
        token.reveal(), name, Password(PASSWORD), "192.0.2.2"
    )


OPERATOR: Final = Origin("", "", "")
"""Whoever is at the machine itself, and may everything."""


def by(person: Person) -> Origin:
    return Origin(person.id, person.email, "192.0.2.1")


def identity(subject: str = "a") -> Identity:
    return Identity(ISSUER, subject)


async def outcomes(*calls: Awaitable[Any]) -> list[Any]:
    """What happens when all are made at once: results, and the errors of the books."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, PeopleError):
            raise result
    return results


async def sql(location: Location, statement: str) -> list[Any]:
    """What *statement* gives on a connection of one's own."""
    if isinstance(location, PostgresUrl):
        return await run_sql(location, statement)
    with closing(sqlite3.connect(location, isolation_level=None)) as connection:
        return connection.execute(statement).fetchall()


async def actions(people: People) -> list[str]:
    """What the history says was done, newest first."""
    return [event.action for event in await people.history.page(limit=100)]
