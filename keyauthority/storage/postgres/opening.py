"""From a URL to the books: connect, check that they are durable, and migrate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import StorageError
from keyauthority.base.relational.postgres import (
    check_version,
    migrate,
    opening_errors,
    usable_revision,
)
from keyauthority.base.relational.primary import check_sessions
from keyauthority.domain.ports import Clock
from keyauthority.storage.migrations import SCHEMA
from keyauthority.storage.postgres.database import PostgresDatabase
from keyauthority.storage.postgres.link import PATIENCE, Patience, primary_of
from keyauthority.storage.postgres.sessions import PostgresSessions
from keyauthority.storage.postgres.statements import number_of
from keyauthority.storage.sql.store import SqlStore

_SETTINGS: Final = """
SELECT current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS synchronous_standby_names,
       current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes,
       (SELECT count(*) FROM pg_stat_replication WHERE state IS DISTINCT FROM 'backup') AS standbys
"""

log = structlog.get_logger()


@asynccontextmanager
async def open_postgres(
    url: PostgresUrl,
    clock: Clock | None = None,
    *,
    allow_async_standby: bool = False,
    patience: Patience = PATIENCE,
) -> AsyncIterator[SqlStore]:
    """Opens the books in the database at *url*, which must be migrated.

    The database's clock judges expiries unless there is a *clock*, for tests.
    *allow_async_standby* accepts, and logs, that a failover could lose confirmed changes.

    Raises `StorageError` for a database that can't be opened or would break the promise.
    """
    with opening_errors(url):
        primary = primary_of(url)
        await check_sessions(primary.connect)
        driver = await primary.connect()
        try:
            await _examine(driver, allow_async_standby=allow_async_standby)
            synchronous_commit = await driver.fetchval("SHOW synchronous_commit")
        finally:
            driver.terminate()
    # Set by each session from here on: a change of the server's configuration has no effect.
    pinned = primary_of(url, {"synchronous_commit": synchronous_commit})
    database = PostgresDatabase(pinned, clock, patience)
    try:
        yield SqlStore(database, PostgresSessions(database))
    finally:
        await to_the_end(database.close())


async def migrate_postgres(url: PostgresUrl) -> None:
    """Migrates the database at *url* to the newest schema; several processes may do so at once.

    Raises `StorageError`.
    """
    await migrate(url, "keyauthority db migrate", SCHEMA, number_of("schema"), alone=False)


async def _examine(driver: Any, *, allow_async_standby: bool) -> None:
    """Raises `StorageError` if the database can't keep the promise, or has another schema."""
    await check_version(driver)
    settings = await driver.fetchrow(_SETTINGS)
    _check_durable(settings)
    _check_standbys(settings, allow_async_standby=allow_async_standby)
    SCHEMA.check_newest(await usable_revision(driver, SCHEMA), "keyauthority db migrate")


def _check_durable(settings: Any) -> None:
    # With `local` and `remote_write`, the standby that takes over may lack a commit.
    if settings["synchronous_commit"] not in ("on", "remote_apply"):
        raise StorageError(
            f"the database has synchronous_commit = {settings['synchronous_commit']}: a revocation "
            "could be lost; set it to on"
        )
    for name in ("fsync", "full_page_writes"):
        if settings[name] != "on":
            raise StorageError(
                f"the database has {name} = {settings[name]}: a revocation could be lost; set it to on"
            )


def _check_standbys(settings: Any, *, allow_async_standby: bool) -> None:
    if settings["standbys"] == 0 or settings["synchronous_standby_names"]:
        return
    if not allow_async_standby:
        raise StorageError(
            "the database has standbys but no synchronous_standby_names: a failover could lose "
            "revocations; set it, or give --allow-async-standby to accept that"
        )
    log.warning(
        "promise_withdrawn_on_failover",
        why="a standby without synchronous_standby_names may lack revocations that were confirmed",
    )
