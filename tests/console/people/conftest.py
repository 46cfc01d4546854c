"""Books in a SQLite file and in a PostgreSQL database, each opened by two processes' worth."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from console.people import People, Person, migrate_people
from keyauthority.base.relational.location import Location, PostgresUrl
from tests.console.people.parts import ManualClock, administrator, opened
from tests.postgres import empty_database, in_server, name_of, run_sql, server_url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgres"])
async def location(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Location]:
    """A database that is migrated and has nothing in it."""
    if request.param == "sqlite":
        where: Location = tmp_path / "console.db"
        await migrate_people(where)
    else:
        where = await _migrated()
    yield where
    if isinstance(where, PostgresUrl):
        await run_sql(server_url(), f"DROP DATABASE {name_of(where)} WITH (FORCE)")


_templates: Final[dict[str, str]] = {}


async def _migrated() -> PostgresUrl:
    # A copy of the first: migrating takes longer than copying.
    url = server_url()
    if url not in _templates:
        first = await empty_database()
        await migrate_people(first)
        _templates[url] = name_of(first)
    name = f"console_{secrets.token_hex(6)}"
    await run_sql(url, f"CREATE DATABASE {name} TEMPLATE {_templates[url]}")
    return in_server(url, name)


@pytest.fixture
async def people(location: Location, clock: ManualClock) -> AsyncIterator[People]:
    async with opened(location, clock) as people:
        yield people


@pytest.fixture
async def other(location: Location, clock: ManualClock) -> AsyncIterator[People]:
    """The same books, opened once more, as another process has them."""
    async with opened(location, clock) as people:
        yield people


@pytest.fixture
async def ada(people: People) -> Person:
    """The first administrator, owner of `ws_1`."""
    return await administrator(people)
