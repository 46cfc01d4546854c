"""The databases that hold the console's books: a SQLite file, or PostgreSQL.

Several processes may share the file. It has a rollback journal, since SQLite up to 3.51.2 may damage
a write-ahead log that processes share.
"""

from __future__ import annotations

import asyncio
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
from keyauthority.base.relational.location import Location, PostgresUrl
from keyauthority.base.relational.outages import FAILURES, StorageError
from keyauthority.base.relational.primary import CONNECT, Primary, check_sessions
from keyauthority.base.relational.sqlite import (
    DURABLE,
    Kind,
    check_is_sqlite,
    connect,
    is_empty,
    migrate,
    opening_errors,
)

KIND: Final = Kind(
    application_id=0x6F707463,  # "optc" in ASCII
    pragmas={"journal_mode": "delete", **DURABLE},
    schema=SCHEMA,
)
MIGRATE: Final = "keyauthority-console migrate"

_NAME: Final = "keyauthority-console"
_SCHEMA_LOCK: Final = int.from_bytes(b"optcschm")


async def open_engine(location: Location, patience: float) -> AsyncEngine:
    """Returns the engine of the database at *location*; makes and migrates a SQLite file.

    *patience*: seconds to wait for a connection, a lock or an answer. Raises `StorageError`, also
    if this version can't use the schema of a PostgreSQL database.
    """
    if isinstance(location, PostgresUrl):
        return await _postgres_engine(location, patience)
    await migrate_people(location)
    return _sqlite_engine(location.resolve(), patience)


async def migrate_people(location: Location) -> None:
    """Brings the database to the newest schema, however many do so at the same time.

    Raises `StorageError`, and leaves a database of another program or a newer version as it was.
    """
    if isinstance(location, PostgresUrl):
        await postgres.migrate(location, _NAME, SCHEMA, _SCHEMA_LOCK, alone=True)
    else:
        await asyncio.to_thread(_migrate_file, location.resolve())


def _sqlite_engine(path: Path, patience: float) -> AsyncEngine:
    # One connection, for one transaction at a time.
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


def _migrate_file(path: Path) -> None:
    with opening_errors(path):
        check_folder(path.parent)
        if not path.exists():
            _check_no_journal(path)
            os.close(open_own(path))
        if path.stat().st_size:
            check_is_sqlite(path)
            # A read-only connection leaves the journal of a crash as it is; another would empty it.
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
                is_empty(connection, path, KIND)
        path.chmod(0o600)
        migrate(path, KIND)


def _check_no_journal(path: Path) -> None:
    # SQLite would delete the journal, and with it the last copy of the books' content.
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        raise StorageError(
            f"the database {path} is gone, but its journal {journal} is there: put the database back "
            "beside it, or move it away and restore a backup"
        )


async def _postgres_engine(url: PostgresUrl, patience: float) -> AsyncEngine:
    primary = Primary(url, _NAME, postgres.SETTINGS, patience)
    with postgres.opening_errors(url):
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


def _check(primary: Primary, connection: Any, _record: object, _proxy: object) -> None:
    # Tests a connection that was idle for a while, in less time than a statement may take. If it is
    # dead, all connections that were made before it are replaced.
    if not primary.is_trusted(connection.driver_connection):
        raise InvalidatePoolError
    try:
        connection.run_async(lambda driver: driver.fetchval("SELECT 1", timeout=CONNECT))
    except FAILURES:
        primary.distrust(connection.driver_connection)
        connection.driver_connection.terminate()
        raise InvalidatePoolError from None


def _give_up_silent(primary: Primary, error: ExceptionContext) -> None:
    # A rollback on the silent connection would take as long again.
    if isinstance(error.original_exception, TimeoutError) and error.connection is not None:
        primary.distrust(cast("Any", error.connection.connection).driver_connection)
        error.is_disconnect = True
