"""The databases that the console's books may be in: a SQLite file, or PostgreSQL.

Several processes may share the file. It has a rollback journal: SQLite up to 3.51.2 may damage a
write-ahead log that several share.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import aiosqlite
from sqlalchemy import AsyncAdaptedQueuePool, ExceptionContext, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from console.people.migrations import SCHEMA
from keyauthority.base.process.files import check_folder, open_own
from keyauthority.base.relational import postgres
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import FAILURES, StorageError
from keyauthority.base.relational.primary import CONNECT, Primary, check_sessions
from keyauthority.base.relational.sqlite import (
    DURABLE,
    Kind,
    check_is_sqlite,
    connect,
    in_a_sentence,
    is_empty,
    migrate,
)

KIND: Final = Kind(
    application_id=0x6F707463,  # "optc" in ASCII
    pragmas={"journal_mode": "delete", **DURABLE},
    schema=SCHEMA,
)
MIGRATE: Final = "keyauthority-console migrate"

_NAME: Final = "keyauthority-console"
_SCHEMA_LOCK: Final = int.from_bytes(b"optcschm")


def sqlite_engine(path: Path, patience: float) -> AsyncEngine:
    """One connection to the file at *path*, for one transaction at a time.

    *patience*: seconds that is waited for it, and for another program that has the file locked.
    """
    pragmas = {**KIND.pragmas, "busy_timeout": int(patience * 1000)}

    async def connected() -> aiosqlite.Connection:
        return await aiosqlite.Connection(partial(connect, path, pragmas), iter_chunk_size=64)

    return create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=connected,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=patience,
        hide_parameters=True,
    )


def prepare_file(path: Path) -> None:
    """Makes the file at *path* if there is none, and brings it to the newest schema.

    Raises `StorageError`; a file that isn't ours, or is of a newer version, stays as it was.
    """
    with in_a_sentence(path):
        check_folder(path.parent)
        if not path.exists():
            _check_nothing_is_left(path)
            os.close(open_own(path))
        if path.stat().st_size:
            check_is_sqlite(path)
            # A reader leaves a journal that a crash left as it is; a writer would empty it.
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
                is_empty(connection, path, KIND)
        path.chmod(0o600)
        migrate(path, KIND)


def _check_nothing_is_left(path: Path) -> None:
    # SQLite would delete it, and with it what is left of the people.
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        raise StorageError(
            f"the database {path} is gone, but its journal {journal} is there: put the database back "
            "beside it, or move it away and restore a backup"
        )


async def postgres_engine(url: PostgresUrl, patience: float) -> AsyncEngine:
    """A few connections to the primary server that *url* leads to.

    Raises `StorageError` unless the database has a schema that this version can use.
    """
    primary = Primary(url, _NAME, postgres.SETTINGS, patience)
    with postgres.in_a_sentence(url):
        await check_sessions(primary.connect)
        driver = await primary.connect()
        try:
            await postgres.check_version(driver)
            SCHEMA.check_newest(await postgres.usable_revision(driver, SCHEMA), MIGRATE)
        finally:
            driver.terminate()
    engine = postgres.engine_of(primary, pool_size=5, max_overflow=5, pool_timeout=patience)
    event.listen(engine.sync_engine, "checkout", partial(_check, primary))
    event.listen(engine.sync_engine, "handle_error", partial(_give_up_silent, primary))
    return engine


async def migrate_postgres(url: PostgresUrl) -> None:
    """Brings the database to the newest schema, however many do so at the same time.

    Raises `StorageError`; a database that isn't ours, or is of a newer version, stays as it was.
    """
    await postgres.migrate(url, _NAME, SCHEMA, _SCHEMA_LOCK, alone=True)


def _check(primary: Primary, connection: Any, _record: object, _proxy: object) -> None:
    # A connection that nobody used for a while is asked whether it is alive, for less time than a
    # statement may take; if it isn't, all that were made before it are replaced.
    if not primary.is_trusted(connection.driver_connection):
        raise InvalidatePoolError
    try:
        connection.run_async(lambda driver: driver.fetchval("SELECT 1", timeout=CONNECT))
    except FAILURES:
        primary.silent(connection.driver_connection)
        connection.driver_connection.terminate()
        raise InvalidatePoolError from None


def _give_up_silent(primary: Primary, error: ExceptionContext) -> None:
    # Otherwise its transaction would be undone first, which takes as long again.
    if isinstance(error.original_exception, TimeoutError) and error.connection is not None:
        primary.silent(cast("Any", error.connection.connection).driver_connection)
        error.is_disconnect = True
