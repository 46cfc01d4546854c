"""From a path to the books: lock, examine, migrate, connect."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from keyauthority.base.process.files import open_own, sync_folder
from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.outages import StorageError
from keyauthority.base.relational.sqlite import Kind, migrate, opening_errors
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.storage.errors import NoBooksError
from keyauthority.storage.sqlite.database import PATIENCE, SqliteDatabase
from keyauthority.storage.sqlite.examining import KIND, is_new
from keyauthority.storage.sqlite.lock import check_unlocked, locked
from keyauthority.storage.sqlite.store import SqliteStore


@asynccontextmanager
async def open_sqlite(
    path: Path,
    clock: Clock,
    *,
    patience: float = PATIENCE,
    may_make: bool = True,
    restored: bool = False,
    kind: Kind = KIND,
) -> AsyncIterator[SqliteStore]:
    """Opens the books in the file at *path*, made if there is none, migrated to the newest schema.

    *patience* is how many seconds to wait for another program that has the file locked. *restored*
    books may be a copy that was made while they were in use.

    Raises `StorageError`; a file that isn't ours, has lost its write-ahead log or is of a newer
    version stays as it was. Raises `NoBooksError` where there is no file, unless it *may_make* one.
    """
    with locked(path) as real_path:
        prepare = partial(_prepare, real_path, kind, may_make=may_make, restored=restored)
        await to_the_end(asyncio.to_thread(prepare))
        database = SqliteDatabase(real_path, clock, patience)
        try:
            await to_the_end(_connect(database, real_path))
            yield SqliteStore(database, clock)
        finally:
            await to_the_end(database.close())


async def _connect(database: SqliteDatabase, path: Path) -> None:
    try:
        await database.connect()
    except KeyAuthorityError as error:
        raise StorageError(f"the database {path} can't be opened: {error.message}") from error


def examine_sqlite(path: Path) -> bool:
    """Returns whether there are books in the file at *path*, of which it changes nothing.

    It does not take the lock, or whoever starts meanwhile would be refused. Raises `StorageError` like
    `open_sqlite`; `InUseError` if a process has the lock, before or after the look.
    """
    path = path.resolve()
    check_unlocked(path)
    try:
        new = is_new(path, alone=False)
    except StorageError:
        # Whoever began meanwhile may have changed what was looked at.
        check_unlocked(path)
        raise
    check_unlocked(path)
    return not new


def migrate_sqlite(path: Path) -> None:
    """Migrates the file at *path* to the newest schema. Raises `StorageError` like `open_sqlite`."""
    with locked(path) as real_path:
        _prepare(real_path)


def _prepare(
    path: Path, kind: Kind = KIND, *, may_make: bool = True, restored: bool = False
) -> None:
    new = is_new(path, restored=restored)
    if new and not may_make:
        raise NoBooksError(f"there are no books in {path}")
    with opening_errors(path):
        if new:
            _create(path)
        path.chmod(0o600)
        migrate(path, kind, _unmark)


def _create(path: Path) -> None:
    os.close(open_own(path))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        # Before the file has a write-ahead log: a file without this mark has lost one.
        connection.execute(f"PRAGMA application_id = {KIND.application_id}")
    sync_folder(path)


def _unmark(connection: Connection) -> None:
    if connection.exec_driver_sql("PRAGMA user_version").scalar():
        # The end of this connection moves what a crash left in the log into the file.
        connection.exec_driver_sql("PRAGMA user_version = 0")
