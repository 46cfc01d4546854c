"""From a path to the books: lock, look, migrate, connect."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, select

from keyauthority.base.process.files import open_own, sync_folder
from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.outages import StorageError
from keyauthority.base.relational.sqlite import in_a_sentence, migrate
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.domain.sessions import Allowance, Claim, Grant, Terms
from keyauthority.storage.alone import SessionsAlone
from keyauthority.storage.errors import NoBooksError
from keyauthority.storage.lock import locked
from keyauthority.storage.sql import leases
from keyauthority.storage.sql.leases import TERMS, terms_of
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite.database import PATIENCE, SqliteDatabase
from keyauthority.storage.sqlite.examining import KIND, is_new

_TERMS = select(*TERMS)


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
    with in_a_sentence(path):
        if new:
            _create(path)
        path.chmod(0o600)
        migrate(path, KIND, _unmark)


def _create(path: Path) -> None:
    os.close(open_own(path))
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        # Before it has a write-ahead log: a file without this mark has lost one.
        connection.execute(f"PRAGMA application_id = {KIND.application_id}")
    sync_folder(path)


def _unmark(connection: Connection) -> None:
    if connection.exec_driver_sql("PRAGMA user_version").scalar():
        # The end of this connection moves what a crash left in the log into the file.
        connection.exec_driver_sql("PRAGMA user_version = 0")


class SqliteSessions(SessionsAlone):
    """`Sessions` in memory, beside the file."""

    def __init__(self, database: SqliteDatabase, clock: Clock) -> None:
        super().__init__(clock)
        self._database = database

    async def _grant(
        self, session_id: str, caller_id: str, claim: Claim, allowance: Allowance
    ) -> Grant:
        rows = await self._database.read(leases.GRANT, caller_id=caller_id, revision=claim.revision)
        return leases.grant(rows, session_id, caller_id, claim, allowance)

    async def _terms(self) -> Terms:
        return terms_of((await self._database.read(_TERMS))[0])
