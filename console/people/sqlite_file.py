"""The console's books in a SQLite file, which several processes may share.

It has a rollback journal: SQLite up to 3.51.2 may damage a write-ahead log that several share.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

import aiosqlite
from sqlalchemy import AsyncAdaptedQueuePool, Connection, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from console.people import migrations
from console.people.errors import PeopleStoreError
from console.people.faults import sentence
from keyauthority.base.process.files import check_folder, open_own

APPLICATION_ID: Final = 0x6F707463
"""What the header of every such file bears: "optc" in ASCII, so that no two programs mix theirs up."""

# Each is read back: SQLite ignores what it doesn't know or can't do.
_PRAGMAS: Final[dict[str, str | int]] = {
    "busy_timeout": 5000,
    "journal_mode": "delete",
    "synchronous": 2,
    "fullfsync": 1,
    "foreign_keys": 1,
    "secure_delete": 1,
    "trusted_schema": 0,
}
_MAGIC: Final = b"SQLite format 3\0"
_WAIT: Final = 5.0


def sqlite_engine(path: Path) -> AsyncEngine:
    """One connection to the file at *path*, for one transaction at a time."""
    return create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=partial(_connect_async, path),
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=_WAIT,
        hide_parameters=True,
    )


def prepare_file(path: Path) -> None:
    """Makes the file at *path* if there is none, and brings it to the newest schema.

    Raises `PeopleStoreError`; a file that isn't ours, or is of a newer version, stays as it was.
    """
    try:
        check_folder(path.parent)
        if not path.exists():
            _check_nothing_is_left(path)
            os.close(open_own(path))
        _check(path)
        path.chmod(0o600)
        _migrate(path)
    except OSError as error:
        raise PeopleStoreError(f"the database {path} can't be opened: {error.strerror}") from error
    except (sqlite3.Error, DBAPIError, RuntimeError) as error:
        why = error if isinstance(error, RuntimeError) else sentence(error)
        raise PeopleStoreError(f"the database {path} can't be opened: {why}") from error


def _check_nothing_is_left(path: Path) -> None:
    # SQLite would delete it, and with it what is left of the people.
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        raise PeopleStoreError(
            f"the database {path} is gone, but its journal {journal} is there: put the database back "
            "beside it, or move it away and restore a backup"
        )


def _check(path: Path) -> None:
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise PeopleStoreError(
                f"{path} is no SQLite database; move it away or name another file"
            )
    # A reader leaves a log that another program's crash left as it is; a writer would empty it.
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id == 0 and tables == 0:
            return
        if application_id != APPLICATION_ID:
            raise PeopleStoreError(f"{path} is the database of another program; name another file")
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        migrations.check_usable(revision, _usable_from(connection))


def _usable_from(connection: sqlite3.Connection) -> str | None:
    tables = "SELECT count(*) FROM sqlite_master WHERE name = 'compatibility'"
    if not connection.execute(tables).fetchone()[0]:
        return None
    usable_from: str
    (usable_from,) = connection.execute("SELECT usable_from FROM compatibility").fetchone()
    return usable_from


def _migrate(path: Path) -> None:
    with closing(_connect(path)) as driver:
        engine = create_engine(
            "sqlite://", creator=lambda: driver, poolclass=NullPool, hide_parameters=True
        )
        # One transaction for all of it: a start that is cut off leaves no half-made schema, and of
        # two at once, the second finds all done.
        event.listen(engine, "begin", _begin)
        with engine.begin() as connection:
            migrations.upgrade(connection)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _connect_async(path: Path) -> aiosqlite.Connection:
    return await aiosqlite.Connection(partial(_connect, path), iter_chunk_size=64)


def _connect(path: Path) -> sqlite3.Connection:
    """A connection to the existing file at *path* that begins no transaction by itself."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        for name, value in _PRAGMAS.items():
            connection.execute(f"PRAGMA {name} = {value}").fetchall()
            (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
            if actual != value:
                raise RuntimeError(f"SQLite answers {name} = {actual}, {value} is needed")  # noqa: TRY301
    except BaseException:
        connection.close()
        raise
    return connection
