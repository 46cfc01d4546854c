"""Books in a SQLite file and in a PostgreSQL database, each opened by two processes' worth."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.people import People, Person, migrate_people
from keyauthority.base.relational.location import Location
from tests.console.people.parts import ManualClock, administrator, opened
from tests.postgres import new_database


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that is migrated: copying it takes less time than migrating another one."""
    path = tmp_path_factory.mktemp("people") / "console.db"
    asyncio.run(migrate_people(path))
    return path


@pytest.fixture(params=["sqlite", "postgres"])
async def location(request: pytest.FixtureRequest, tmp_path: Path, migrated: Path) -> Location:
    """A database that is migrated and has nothing in it."""
    if request.param == "postgres":
        return await new_database(migrate=migrate_people)
    return Path(shutil.copy(migrated, tmp_path))


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
