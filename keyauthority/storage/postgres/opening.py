"""From a URL to the books: connect, look, and at another time migrate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.postgres import in_a_sentence, migrate
from keyauthority.base.relational.primary import check_sessions
from keyauthority.domain.ports import Clock
from keyauthority.storage.migrations import SCHEMA
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.examining import examine
from keyauthority.storage.postgres.link import primary_of
from keyauthority.storage.postgres.sessions import PostgresSessions
from keyauthority.storage.postgres.statements import number_of
from keyauthority.storage.sql.store import SqlStore


@asynccontextmanager
async def open_postgres(
    url: PostgresUrl, clock: Clock | None = None, *, allow_async_standby: bool = False
) -> AsyncIterator[SqlStore]:
    """The books in the database at *url*, which must be migrated.

    Expiries are judged by the database's clock unless there is a *clock*, for tests.
    *allow_async_standby*: also if a failover could lose what was confirmed; that is logged.

    Raises `StorageError` for what can't be opened or breaks the promise.
    """
    with in_a_sentence(url):
        primary = primary_of(url)
        await check_sessions(primary.connect)
        driver = await primary.connect()
        try:
            await examine(driver, allow_async_standby=allow_async_standby)
            synchronous_commit = await driver.fetchval("SHOW synchronous_commit")
        finally:
            driver.terminate()
    # From here on it is ours to say: a change of the server's configuration doesn't reach it.
    pinned = primary_of(url, {"synchronous_commit": synchronous_commit})
    database = PostgresDatabase(pinned, clock)
    try:
        yield SqlStore(database, PostgresSessions(database))
    finally:
        await to_the_end(database.close())


async def migrate_postgres(url: PostgresUrl) -> None:
    """Brings the database at *url* to the newest schema, however many do so at the same time.

    Raises `StorageError`.
    """
    await migrate(url, "keyauthority db migrate", SCHEMA, number_of("schema"), alone=False)
