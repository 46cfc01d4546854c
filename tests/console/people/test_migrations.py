"""How a database comes to its schema."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection

from console.people import migrate_people, migrations
from console.people.engines import KIND, open_engine
from console.people.migrations import SCHEMA
from console.people.tables import compatibility, metadata
from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.base.relational.sqlite import migrate
from tests.console.people.parts import sql
from tests.postgres import empty_database
from tests.storage.parts import Upgrading


async def test_migrations_and_tables_agree(location: Location) -> None:
    """Alembic finds nothing that a further migration would have to change."""
    if isinstance(location, PostgresUrl):
        engine = await open_engine(location, 5)
        async with engine.connect() as connection:
            differences = await connection.run_sync(compared)
        await engine.dispose()
    else:
        differences = in_file(location, compared)

    assert differences == []


def compared(connection: Connection) -> Any:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return compare_metadata(context, metadata)


async def test_migrations_and_tables_agree_to_the_letter(tmp_path: Path) -> None:
    """Constraints, and what else Alembic doesn't compare, are the same SQL."""
    await migrate_people(tmp_path / "migrations.db")

    migrated = in_file(tmp_path / "migrations.db", schema)
    made = in_file(tmp_path / "tables.db", schema_of_tables)

    assert {name: text for name, text in migrated.items() if "alembic" not in name} == made


def schema_of_tables(connection: Connection) -> dict[str, set[str]]:
    metadata.create_all(connection)
    return schema(connection)


def schema(connection: Connection) -> dict[str, set[str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    return {
        name: {" ".join(line.strip(" ,\t").split()) for line in text.split("\n")}
        for name, text in connection.exec_driver_sql(query)
    }


def in_file(path: Path, look: Any) -> Any:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = look(connection)
    engine.dispose()
    return found


async def test_migrating_again_changes_nothing(location: Location) -> None:
    """What was kept stays when a database of the newest schema is migrated."""
    await sql(location, "INSERT INTO attempts (digest, full_time) VALUES ('a', 1)")

    await migrate_people(location)

    assert await sql(location, "SELECT count(*) FROM attempts") == [(1,)]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_many_migrate_at_once(kind: str, tmp_path: Path) -> None:
    """Several processes that start at the same time find one schema, made once."""
    location = tmp_path / "console.db" if kind == "sqlite" else await empty_database()

    await asyncio.gather(*(migrate_people(location) for _ in range(4)))

    assert await sql(location, "SELECT version_num FROM alembic_version") == [(SCHEMA.newest(),)]


async def test_a_migration_cut_off_leaves_nothing(tmp_path: Path) -> None:
    """A start that dies while it makes the tables has made none, and the next one makes all."""
    path = tmp_path / "console.db"

    def upgrade_and_die(connection: Connection) -> None:
        def die(_: Connection, __: object, statement: str, *___: object) -> None:
            if "CREATE TABLE events" in statement:
                raise RuntimeError("cut off")

        event.listen(connection, "before_cursor_execute", die)
        SCHEMA.upgrade(connection)

    path.touch(mode=0o600)
    dying = Upgrading(Path(migrations.__file__).parent, compatibility, upgrade_and_die)
    with pytest.raises(RuntimeError, match="cut off"):
        migrate(path, replace(KIND, schema=dying))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []

    await migrate_people(path)
    assert await sql(path, "SELECT count(*) FROM events") == [(0,)]
