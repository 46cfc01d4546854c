"""From a URL to the books: connect, look, and at another time migrate."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from sqlalchemy import NullPool, func, select
from sqlalchemy.ext.asyncio import create_async_engine

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.primary import Primary, check_sessions
from keyauthority.domain.ports import Clock
from keyauthority.storage import migrations
from keyauthority.storage.errors import StorageError
from keyauthority.storage.postgres.connecting import ISOLATION, primary_of
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.examining import examine, usable_schema
from keyauthority.storage.postgres.faults import FAILURES, cause, sentence
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
    with _in_a_sentence(url):
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
    with _in_a_sentence(url):
        primary = Primary(url, "keyauthority db migrate", ISOLATION)
        await check_sessions(primary.connect)
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=primary.connect,
            poolclass=NullPool,
            hide_parameters=True,
        )
        # One transaction for all of it: a migration that is cut off leaves no half-made schema.
        async with engine.begin() as connection:
            _ = await connection.execute(select(func.pg_advisory_xact_lock(number_of("schema"))))
            driver: Any = (await connection.get_raw_connection()).driver_connection
            _ = await usable_schema(driver)
            await connection.run_sync(migrations.upgrade)


@contextmanager
def _in_a_sentence(url: PostgresUrl) -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise StorageError(f"{url} can't be opened: {error}") from None
    except (*FAILURES, ValueError) as error:
        # What the driver says of a URL it can't read may repeat it.
        why = sentence(cause(error)) or "this user may not, or the URL is wrong"
        raise StorageError(f"{url} can't be opened: {why}") from None
