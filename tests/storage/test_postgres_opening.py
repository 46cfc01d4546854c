"""Which PostgreSQL databases are opened, and how they come to their schema."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.auditing import AuditFilter
from keyauthority.domain.keys import UNKNOWN, Who
from keyauthority.domain.repositories import KeyFilter
from keyauthority.domain.sessions import Head
from keyauthority.storage.migrations import SCHEMA
from keyauthority.storage.postgres import migrate_postgres, open_postgres
from keyauthority.storage.tables import metadata
from tests.postgres import (
    Server,
    copy_in_time,
    empty_database,
    name_of,
    new_database,
    new_server,
    new_standby,
    run_sql,
)
from tests.storage.parts import (
    BEFORE_FACTS,
    BEFORE_PEOPLE,
    FACTS,
    OF_A_NEWER_VERSION,
    migrate_server,
    upgrade_to,
)
from tests.transactions import changing, reading


async def refusal(url: PostgresUrl, *, allow_async_standby: bool = False) -> str:
    with pytest.raises(StorageError) as raised:
        async with open_postgres(url, allow_async_standby=allow_async_standby):
            pass
    prefix = f"{url} can't be opened: "
    assert str(raised.value).startswith(prefix)
    return str(raised.value).removeprefix(prefix)


async def test_migrations_and_tables_agree() -> None:
    """Alembic finds nothing that a further migration would have to change."""
    url = await new_database()
    engine = create_async_engine(
        url.reveal().partition("?")[0].replace("postgresql://", "postgresql+asyncpg://")
    )

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_three_migrations_at_once() -> None:
    """Commands on three machines end with one schema and no error."""
    url = await empty_database()

    await asyncio.gather(*(migrate_postgres(url) for _ in range(3)))

    async with open_postgres(url) as store:
        assert (await store.snapshot([])).head == Head(1, 0)


async def test_migrating_again_changes_nothing() -> None:
    """A database of the newest schema stays as it is."""
    url = await new_database()
    async with open_postgres(url) as store, changing(store) as tx:
        await tx.feed.advance(["key_1"])

    await migrate_postgres(url)

    async with open_postgres(url) as store:
        assert (await store.snapshot([])).head == Head(1, 1)


async def test_a_migration_cut_off_leaves_nothing() -> None:
    """It is one transaction: half a schema is never seen."""
    url = await empty_database()

    def upgrade_and_die(connection: Connection) -> None:
        SCHEMA.upgrade(connection)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await migrate_server(url, upgrade_and_die)

    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert await run_sql(url, tables) == [(0,)]
    await migrate_postgres(url)


@pytest.mark.parametrize("written", ["before", "after"])
async def test_rows_without_people(written: str) -> None:
    """What an older version wrote, or still writes, is of callers that acted for themselves."""
    url = await empty_database()
    await migrate_server(url, upgrade_to("0003" if written == "before" else "head"))
    for statement in BEFORE_PEOPLE:
        await run_sql(url, statement)

    await migrate_postgres(url)

    async with open_postgres(url) as store, reading(store) as tx:
        caller = await tx.callers.get("caller_1")
        assert caller is not None
        assert not caller.acts_for_people
        [key] = await tx.keys.page(KeyFilter(), 10, None)
        assert key.creator == UNKNOWN
        [entry] = await tx.audit.page(AuditFilter(), 10, None)
        assert (entry.person_id, entry.person_name, entry.revision) == ("", "", 7)


async def test_entries_from_before_tell_what_happened() -> None:
    """And so who revoked a key, and who was shown which secret: both bear the entry's time."""
    url = await empty_database()
    await migrate_server(url, upgrade_to("0007"))
    for statement in BEFORE_FACTS:
        await run_sql(url, statement)

    await migrate_postgres(url)

    async with open_postgres(url) as store, reading(store) as tx:
        entries = (await tx.audit.page(AuditFilter(), 10, None))[::-1]
        assert [(one.action, one.caller_id, one.details) for one in entries] == [*FACTS]
        key = (await tx.keys.get(["key_1"]))["key_1"]
        assert key.revocation is not None
        assert key.revocation.by == Who("caller_2", "ops")
        assert [one.creator for one in key.secrets] == [Who("person_2", "bob"), UNKNOWN]


async def test_schemas_that_do_not_fit_are_refused() -> None:
    """None, an older and a newer one: each is told what to do about it."""
    assert "no schema yet: run keyauthority db migrate" in await refusal(await empty_database())
    url = await new_database()

    await run_sql(url, "UPDATE alembic_version SET version_num = '0001'")
    assert "an older schema (0001): run keyauthority db migrate" in await refusal(url)

    await run_sql(url, *OF_A_NEWER_VERSION)
    newer = "the database was written by a newer version, or another program (schema 9999)"
    assert newer in await refusal(url)
    with pytest.raises(StorageError, match=r"schema 9999"):
        await migrate_postgres(url)


@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
async def test_commits_that_are_not_kept_are_refused(value: str) -> None:
    """A revocation that was confirmed could be lost."""
    url = await new_database()
    await run_sql(url, f"ALTER DATABASE {name_of(url)} SET synchronous_commit = {value}")

    assert f"has synchronous_commit = {value}" in await refusal(url)
    assert f"has synchronous_commit = {value}" in await refusal(url, allow_async_standby=True)


async def test_what_was_looked_at_stays() -> None:
    """Connections made later don't follow a setting that was changed meanwhile."""
    url = await new_database()
    async with open_postgres(url) as store:
        await run_sql(url, f"ALTER DATABASE {name_of(url)} SET synchronous_commit = off")
        rows = await store._database._reads._connect()  # type: ignore[attr-defined]
        assert await rows.driver.fetchval("SHOW synchronous_commit") == "on"
        await rows.close()


async def test_what_cannot_be_reached_is_refused(tmp_path: Path) -> None:
    """One sentence each, without a password."""
    there = await new_database()
    for text, sentence in (
        ("postgresql://user:secret@127.0.0.1:1/db", "the connection to the database was lost"),
        ("postgresql://user:secret@127.0.0.1:port/db", "this user may not, or the URL is wrong"),
        (f"postgresql://user:secret@/db?host={tmp_path}", "the connection to the database was"),
        (there.reveal().replace("keyauthority_", "no_"), "the database does not exist"),
        (there.reveal().replace("postgres@", "nobody:secret@"), "the database refuses this user"),
    ):
        url = PostgresUrl(text)
        assert sentence in await refusal(url)
        with pytest.raises(StorageError) as raised:
            await migrate_postgres(url)
        assert "secret" not in str(raised.value)


@pytest.fixture
def own_server() -> Iterator[Server]:
    server = new_server()
    yield server
    server.remove()


async def test_a_server_that_forgets_is_refused() -> None:
    """Without fsync a loss of power takes what was confirmed."""
    server = new_server(fsync="off", full_page_writes="off")
    try:
        url = await new_database(server.url)
        assert "has fsync = off" in await refusal(url, allow_async_standby=True)
    finally:
        server.remove()


async def test_standbys(own_server: Server) -> None:
    """One that copies late is refused unless that is accepted, which is logged; one that copies in
    time is fine; and no standby is taken for the database.
    """
    url = await new_database(own_server.url)
    standby = new_standby(own_server)
    try:
        assert "standbys but no synchronous_standby_names" in await refusal(url)
        with structlog.testing.capture_logs() as logs:
            async with open_postgres(url, allow_async_standby=True) as store:
                await store.snapshot([])
        assert [log["event"] for log in logs] == ["promise_withdrawn_on_failover"]

        await copy_in_time(own_server)
        async with open_postgres(url) as store, changing(store) as tx:
            await tx.feed.advance(["key_1"])

        there = PostgresUrl(url.reveal().replace(f":{own_server.port}", f":{standby.port}"))
        assert await refusal(there) == "the database is a standby"
        with pytest.raises(StorageError):
            await migrate_postgres(there)
    finally:
        standby.remove()
