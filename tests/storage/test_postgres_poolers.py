"""Behind a pooler: a real PgBouncer."""

from __future__ import annotations

import asyncio

import pytest

from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import StorageError
from keyauthority.base.relational.postgres import SETTINGS
from keyauthority.base.relational.primary import Primary, UnfitServerError
from keyauthority.storage.postgres import listening, migrate_postgres, open_postgres
from keyauthority.storage.postgres.link import Link
from keyauthority.storage.sql.store import SqlStore
from tests.pgbouncer import pgbouncer
from tests.postgres import empty_database, name_of, new_database, run_sql
from tests.transactions import changing


@pytest.fixture
async def url() -> PostgresUrl:
    return await new_database()


async def links(store: SqlStore) -> list[Link]:
    """A new connection of each kind."""
    database = store._database
    return [await pool._connect() for pool in (database._reads, database._transactions)]  # type: ignore[attr-defined]


async def shown(link: Link, *settings: str) -> dict[str, str]:
    return {name: await link.driver.fetchval(f"SHOW {name}") for name in settings}


@pytest.mark.parametrize("pooler", [False, True])
async def test_sessions_are_as_they_are_asked_to_be(url: PostgresUrl, pooler: bool) -> None:
    """Whatever the database's own settings are, and with a PgBouncer that passes on none of ours."""
    pinned = {**SETTINGS, "synchronous_commit": "on"}
    if pooler:
        with pgbouncer(url, "session") as behind:
            await check_settings(url, behind, pinned)
    else:
        await check_settings(url, url, pinned)


async def check_settings(url: PostgresUrl, behind: PostgresUrl, wanted: dict[str, str]) -> None:
    async with open_postgres(behind) as store:
        for setting in (
            "synchronous_commit = off",
            "default_transaction_isolation = serializable",
            "default_transaction_read_only = on",
            "jit = on",
            "statement_timeout = 0",
        ):
            await run_sql(
                url,
                "SET default_transaction_read_only = off",
                f"ALTER DATABASE {name_of(url)} SET {setting}",
            )
        for link in await links(store):
            assert await shown(link, *wanted) == wanted
            await link.close()


async def test_all_works_behind_a_pooler_by_session(url: PostgresUrl) -> None:
    """Changes, verdicts and hints."""
    heard = asyncio.Event()
    with pgbouncer(url, "session") as behind:
        await migrate_postgres(behind)
        async with (
            open_postgres(behind) as store,
            listening(behind, lambda _: heard.set()),
        ):
            await heard.wait()
            heard.clear()
            await asyncio.gather(*(change(store, f"key_{n}") for n in range(20)))
            async with asyncio.timeout(10):
                await heard.wait()
            assert (await store.snapshot([])).head.revision == 20


async def change(store: SqlStore, subject: str) -> None:
    async with changing(store) as tx:
        await tx.feed.advance([subject])


@pytest.mark.parametrize("sizes", [{"default_pool_size": "1"}, {"min_pool_size": "7"}])
@pytest.mark.parametrize("round_robin", ["0", "1"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_others_are_refused(mode: str, round_robin: str, sizes: dict[str, str]) -> None:
    """However the pooler deals out its sessions; at a migration, too."""
    url = await empty_database()
    with pgbouncer(url, mode, server_round_robin=round_robin, **sizes) as behind:
        # The sessions that it is to hold ready are made one by one.
        for _ in range(3):
            with pytest.raises(StorageError, match="have it pool by session"):
                await migrate_postgres(behind)
            with pytest.raises(StorageError, match="have it pool by session"):
                async with open_postgres(behind):
                    pass
    assert await run_sql(url, "SELECT to_regclass('alembic_version')") == [(None,)]


async def test_a_session_that_does_not_keep_its_settings_is_refused(url: PostgresUrl) -> None:
    """What was set is read back; here it can't be the same, since nobody shows it so."""
    with pytest.raises(UnfitServerError, match=r"has statement_timeout = 4500ms, though"):
        await Primary(url, "test", {"statement_timeout": "4500"}).connect()
