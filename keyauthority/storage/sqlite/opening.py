"""From a path to the books: lock, look, migrate, connect."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from keyauthority.base.process.files import open_own
from keyauthority.base.process.tasks import to_the_end
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.storage import migrations
from keyauthority.storage.errors import NoBooksError, StorageError
from keyauthority.storage.lock import locked
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite.connecting import connect
from keyauthority.storage.sqlite.database import SqliteDatabase
from keyauthority.storage.sqlite.examining import APPLICATION_ID, is_new
from keyauthority.storage.sqlite.faults import sentence
from keyauthority.storage.sqlite.sessions import SqliteSessions
from keyauthority.storage.sqlite.waiting import PATIENCE


@asynccontextmanager
async def open_sqlite(
    path: Path,
    clock: Clock,
    *,
    patience: float = PATIENCE,
    may_make: bool = True,
    restored: bool = False,
) -> AsyncIterator[SqlStore]:
    """The books in the file at *path*, made if there is none, brought to the newest schema.

    *patience*: seconds that is waited for another program that has the file locked.
    Raises `StorageError`; a file that isn't ours, has lost its write-ahead log or is of a newer
    version stays as it was. Unless it *may_make* one, `NoBooksError` where nothing is. *restored*
    books may be a copy that was made while they were in use.
    """
    with locked(path) as real_path:
        prepare = partial(_prepare, real_path, may_make=may_make, restored=restored)
        await to_the_end(asyncio.to_thread(prepare))
        database = SqliteDatabase(real_path, clock, patience)
        try:
            await to_the_end(_connected(database, real_path))
            yield SqlStore(database, SqliteSessions(database, clock))
        finally:
            await to_the_end(database.close())


async def _connected(database: SqliteDatabase, path: Path) -> None:
    try:
        await database.connect()
    except KeyAuthorityError as error:
        raise StorageError(f"the database {path} can't be opened: {error.message}") from error


def migrate_sqlite(path: Path) -> None:
    """Brings the file at *path* to the newest schema. Raises `StorageError` like `open_sqlite`."""
    with locked(path) as real_path:
        _prepare(real_path)


def _prepare(path: Path, *, may_make: bool = True, restored: bool = False) -> None:
    new = is_new(path, restored=restored)
    if new and not may_make:
        raise NoBooksError(f"there are no books in {path}")
    try:
        if new:
            _create(path)
        path.chmod(0o600)
        _migrate(path)
    except OSError as error:
        raise StorageError(f"the database {path} can't be opened: {error.strerror}") from error
    except (sqlite3.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise StorageError(f"the database {path} can't be opened: {sentence(cause)}") from error
    except RuntimeError as error:
        raise StorageError(f"the database {path} can't be opened: {error}") from error


def _create(path: Path) -> None:
    os.close(open_own(path))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        # Before it has a write-ahead log: a file without this mark has lost one.
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _migrate(path: Path) -> None:
    with closing(connect(path)) as driver:
        engine = create_engine("sqlite://", creator=lambda: driver, poolclass=NullPool)
        # One transaction for all of it: a start that is cut off leaves no half-made schema.
        event.listen(engine, "begin", _begin)
        with engine.begin() as connection:
            migrations.upgrade(connection)
            if connection.exec_driver_sql("PRAGMA user_version").scalar():
                # The end of this connection moves what a crash left in the log into the file.
                connection.exec_driver_sql("PRAGMA user_version = 0")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
