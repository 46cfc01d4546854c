"""How a database comes to its schema."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.facts import Action
from keyauthority.domain.keys import UNKNOWN, Who
from keyauthority.domain.repositories import KeyFilter
from keyauthority.domain.sessions import Head
from keyauthority.storage.migrations import SCHEMA
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import migrate_sqlite, open_sqlite
from keyauthority.storage.tables import metadata
from tests.conformance.records import ManualClock
from tests.storage.parts import (
    BEFORE_FACTS,
    BEFORE_PEOPLE,
    FACTS,
    OF_A_NEWER_VERSION,
    as_after_a_crash,
    files,
    migrate_file,
    run_sql,
    upgrade_to,
)
from tests.transactions import changing, reading


@pytest.fixture
def migrated(path: Path) -> Iterator[Connection]:
    migrate_sqlite(path)
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_migrations_and_tables_agree(migrated: Connection) -> None:
    """Alembic finds nothing that a further migration would have to change."""
    context = MigrationContext.configure(migrated, opts={"compare_server_default": True})

    assert compare_metadata(context, metadata) == []


def test_migrations_and_tables_agree_to_the_letter(migrated: Connection, tmp_path: Path) -> None:
    """Constraints, partial indexes and what else Alembic doesn't compare are the same SQL."""
    other = create_engine(f"sqlite:///{tmp_path / 'tables.db'}")
    with other.begin() as connection:
        metadata.create_all(connection)
        expected = schema(connection)
    other.dispose()

    assert {k: v for k, v in schema(migrated).items() if "alembic" not in k} == expected


def schema(connection: Connection) -> dict[str, set[str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    return {name: clauses(sql) for name, sql in connection.exec_driver_sql(query)}


def clauses(sql: str) -> set[str]:
    # A column that was added stands in the line of the one before it, or of the end.
    lines = re.split(r"\n|, (?=\w+ (?:BIGINT|BLOB|BOOLEAN|INTEGER|TEXT)\b)", sql.removesuffix(")"))
    return {" ".join(line.strip(" ,\t").split()) for line in lines} - {""}


def test_migrating_again_changes_nothing(path: Path) -> None:
    """A database of the newest schema stays as it is, byte for byte."""
    migrate_sqlite(path)
    before = files(path)

    migrate_sqlite(path)

    assert files(path) == before


def test_a_migration_cut_off_leaves_nothing(path: Path) -> None:
    """A start that dies while it makes the tables has made none, and the next one makes all."""

    def upgrade_and_die(connection: Connection) -> None:
        def die(_: Connection, __: object, statement: str, *___: object) -> None:
            if "CREATE TABLE replays" in statement:
                raise KeyboardInterrupt

        event.listen(connection, "before_cursor_execute", die)
        SCHEMA.upgrade(connection)

    with pytest.raises(KeyboardInterrupt):
        migrate_file(path, upgrade_and_die)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []

    migrate_sqlite(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT epoch, revision FROM head").fetchall() == [(1, 0)]


def test_a_newer_database_is_refused_untouched(path: Path) -> None:
    """A schema that this version doesn't know stays as it is, byte for byte."""
    migrate_sqlite(path)
    run_sql(path, *OF_A_NEWER_VERSION, "CREATE TABLE new (x)")
    before = files(path)

    with pytest.raises(
        StorageError, match=r"written by a newer version, or another program \(schema 9999\)"
    ):
        migrate_sqlite(path)

    assert files(path) == before


async def test_a_newer_database_is_refused_untouched_after_a_crash(
    store: SqlStore, path: Path, tmp_path: Path
) -> None:
    """What a newer version left in its WAL is neither lost nor moved."""
    run_sql(path, *OF_A_NEWER_VERSION)
    copy = as_after_a_crash(path, tmp_path / "crashed")
    before = files(copy)
    assert b"9999" in before["books.db-wal"]

    with pytest.raises(StorageError, match="newer version"):
        async with open_sqlite(copy, ManualClock()):
            pass

    assert files(copy) == before


async def test_migrating_keeps_the_books(path: Path) -> None:
    """`db migrate` and a start come to the same database."""
    migrate_sqlite(path)
    async with open_sqlite(path, ManualClock()) as store, changing(store) as tx:
        await tx.feed.advance(["a"])

    migrate_sqlite(path)

    async with open_sqlite(path, ManualClock()) as store:
        assert (await store.snapshot([])).head == Head(1, 1)


@pytest.mark.parametrize("written", ["before", "after"])
async def test_rows_without_people(path: Path, written: str) -> None:
    """What an older version wrote, or still writes, is of callers that acted for themselves."""
    migrate_file(path, upgrade_to("0003" if written == "before" else "head"))
    run_sql(path, *BEFORE_PEOPLE)

    migrate_sqlite(path)

    async with open_sqlite(path, ManualClock()) as store, reading(store) as tx:
        caller = await tx.callers.get("caller_1")
        assert caller is not None
        assert not caller.acts_for_people
        [key] = await tx.keys.page(KeyFilter(), 10, None)
        assert key.creator == UNKNOWN
        [entry] = await tx.audit.page(AuditFilter(), 10, None)
        assert (entry.person_id, entry.person_name, entry.revision) == ("", "", 7)


async def test_entries_from_before_tell_what_happened(path: Path) -> None:
    """And so who revoked a key, and who was shown which secret: both bear the entry's time."""
    migrate_file(path, upgrade_to("0007"))
    run_sql(path, *BEFORE_FACTS)

    migrate_sqlite(path)

    async with open_sqlite(path, ManualClock()) as store, reading(store) as tx:
        entries = (await tx.audit.page(AuditFilter(), 10, None))[::-1]
        assert [(one.action, one.caller_id, one.details) for one in entries] == [*FACTS]
        assert len(await tx.audit.page(AuditFilter(action=Action.KEY_ROTATED), 10, None)) == 1
        key = (await tx.keys.get(["key_1"]))["key_1"]
        assert key.revocation is not None
        assert key.revocation.by == Who("caller_2", "ops")
        assert [one.creator for one in key.secrets] == [Who("person_2", "bob"), UNKNOWN]


async def test_entries_of_an_older_version_beside_this_one(path: Path) -> None:
    """It goes on writing them without: they are read by their method."""
    migrate_sqlite(path)
    run_sql(path, *BEFORE_FACTS)

    async with open_sqlite(path, ManualClock()) as store, reading(store) as tx:
        entries = (await tx.audit.page(AuditFilter(), 10, None))[::-1]
        assert [(one.action, one.details) for one in entries] == [
            (action, details) for action, _, details in FACTS
        ]


async def test_a_fact_that_only_a_newer_version_knows(path: Path) -> None:
    """The entry is read all the same."""
    migrate_sqlite(path)
    run_sql(path, *BEFORE_FACTS, "UPDATE audit SET fact = 9999")

    async with open_sqlite(path, ManualClock()) as store, reading(store) as tx:
        entries = await tx.audit.page(AuditFilter(), 10, None)
        assert {one.action for one in entries} == {Action.OTHER}


CHANGES = {
    "update": "UPDATE {} SET amount = 0",
    "delete": "DELETE FROM {}",
    "replace": "REPLACE INTO {} SELECT * FROM {}",
}


@pytest.mark.parametrize("table", ["credit_entries", "credit_draws"])
@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_an_entry(migrated: Connection, table: str, change: str) -> None:
    """Whoever has the file open: the schema itself refuses."""
    insert_ones(migrated, table)

    with pytest.raises(IntegrityError, match="never changed or deleted"):
        migrated.exec_driver_sql(CHANGES[change].format(table, table))


@pytest.mark.parametrize("column", ["number", "reference"])
def test_no_entry_takes_the_place_of_another(migrated: Connection, column: str) -> None:
    """Neither by its number nor by its reference."""
    insert_ones(migrated, "credit_entries")

    with pytest.raises(IntegrityError, match="never changed or deleted"):
        insert_ones(migrated, "credit_entries", "INSERT OR REPLACE", **{column: "'2'"})
    insert_ones(migrated, "credit_entries", number="'2'", reference="'2'")


@pytest.mark.parametrize("change", CHANGES)
def test_nobody_changes_a_price(migrated: Connection, change: str) -> None:
    """Whoever has the file open: the schema itself refuses."""
    insert_ones(migrated, "credit_prices")
    statement = CHANGES[change].replace("amount", "rates")

    with pytest.raises(IntegrityError, match="never changed or deleted"):
        migrated.exec_driver_sql(statement.format("credit_prices", "credit_prices"))


@pytest.mark.parametrize("same", ["id", "model", "rowid"])
def test_no_price_takes_the_place_of_another(migrated: Connection, same: str) -> None:
    """Neither by its id, nor by its patterns and time, nor by its row id."""
    insert_ones(migrated, "credit_prices")
    other = {"id": "'2'", "model": "'2'"}
    insert_ones(migrated, "credit_prices", **other)

    with pytest.raises(IntegrityError, match="never changed or deleted"):
        insert_ones(
            migrated,
            "credit_prices",
            "INSERT OR REPLACE",
            **{"id": "'3'", "model": "'3'", same: "'1'" if same != "rowid" else "1"},
        )


@pytest.mark.parametrize(
    ("table", "columns"),
    [("credit_entries", ("number", "reference")), ("credit_draws", ("number",))],
)
def test_nor_by_its_row_id(migrated: Connection, table: str, columns: tuple[str, ...]) -> None:
    """Which SQLite gives each row, and takes from whoever names it."""
    insert_ones(migrated, table)
    other = dict.fromkeys(columns, "'2'")

    with pytest.raises(IntegrityError, match="never changed or deleted"):
        insert_ones(migrated, table, "INSERT OR REPLACE", rowid="1", **other)
    insert_ones(migrated, table, **other)


@pytest.mark.parametrize(
    ("table", "column"), [("credit_accounts", "escrowed"), ("credit_grants", "remaining")]
)
def test_nothing_of_credits_is_below_zero(migrated: Connection, table: str, column: str) -> None:
    """What remains of a grant, and what stands in slices."""
    with pytest.raises(IntegrityError, match="CHECK constraint failed"):
        insert_ones(migrated, table, **{column: "-1"})


def insert_ones(connection: Connection, table: str, insert: str = "INSERT", **values: str) -> None:
    columns = [name for _, name, *_ in connection.exec_driver_sql(f"PRAGMA table_info({table})")]
    row = dict.fromkeys(columns, "'1'") | values
    connection.exec_driver_sql(
        f"{insert} INTO {table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
    )
