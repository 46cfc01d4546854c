"""Examining a file, without changing a byte of it, to see whether it holds our books."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from keyauthority.base.relational.outages import StorageError
from keyauthority.base.relational.sqlite import (
    DURABLE,
    Kind,
    check_is_sqlite,
    is_empty,
    opening_errors,
)
from keyauthority.storage.errors import NoBooksError
from keyauthority.storage.migrations import SCHEMA

KIND: Final = Kind(
    application_id=0x6F70746B,  # "optk" in ASCII
    # With `automatic_index` SQLite would index all secrets anew for each batch of verdicts instead
    # of using the existing index.
    pragmas={"journal_mode": "wal", **DURABLE, "checkpoint_fullfsync": 1, "automatic_index": 0},
    schema=SCHEMA,
)

IN_USE: Final = 1
"""The `user_version` of a file that is useless without its write-ahead log. A process sets it while
it has the file, and unsets it at its clean end, when the log is moved into the file.
"""

_WRITE_VERSION: Final = 18
_WITH_WAL: Final = 2


def wal_of(path: Path) -> Path:
    """Returns where SQLite keeps the write-ahead log of the database at *path*."""
    return path.with_name(f"{path.name}-wal")


def is_new(path: Path, *, restored: bool = False, alone: bool = True) -> bool:
    """Returns whether there is no file at *path* yet, or an empty one.

    A *restored* file may be a copy that was made while it was in use. Unless this process is *alone*, by
    its lock, it makes no file beside that at *path* either, which could mislead another.

    Raises `StorageError` for a file that is no database which this version can open, or that has
    lost a part, and `NoBooksError` for a *restored* file without begun books.
    """
    with opening_errors(path, "read"):
        if not path.exists() or path.stat().st_size == 0:
            _check_no_wal(path)
            return True
        check_is_sqlite(path)
        if not os.access(path, os.W_OK):
            raise StorageError(f"the database {path} is read-only; let this user write it")
        # Before the examination, during which SQLite makes an empty one.
        has_wal = wal_of(path).exists()
        with closing(_open_to_examine(path, has_wal=has_wal, alone=alone)) as connection:
            new = is_empty(connection, path, KIND)
            if not new:
                _check_health(connection, path)
            if restored:
                _check_begun(connection, path, new=new)
            elif not has_wal:
                _check_whole(connection, path)
            return new


def _check_no_wal(path: Path) -> None:
    # SQLite would delete the log, and with it what is left of the books.
    if wal_of(path).exists():
        raise StorageError(
            f"the database {path} is gone, but its write-ahead log {wal_of(path)} is there: put the "
            "database back beside it, or move it away and restore a backup"
        )


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (user_version,) = connection.execute("PRAGMA user_version").fetchone()
    in_use = application_id == KIND.application_id and user_version == IN_USE
    # Before there were marks, a copy of a file in use could be its first page alone.
    with path.open("rb") as file:
        copied = application_id == 0 and file.read(100)[_WRITE_VERSION] == _WITH_WAL
    if in_use or copied:
        raise StorageError(
            f"the database {path} has lost its write-ahead log {wal_of(path)}, and with it the last "
            "changes: put that back, or restore a backup and run keyauthority db restore-epoch"
        )


def _check_begun(connection: sqlite3.Connection, path: Path, *, new: bool) -> None:
    if new or not connection.execute("SELECT count(*) FROM peppers").fetchone()[0]:
        raise NoBooksError(f"there are no books in {path}: restore a backup of them")


def _open_to_examine(path: Path, *, has_wal: bool, alone: bool) -> sqlite3.Connection:
    # A reader leaves the WAL of a crash as it is; a writer would move it into the file. What is immutable
    # is read without a WAL; otherwise SQLite makes an empty one.
    without = "rw" if alone else "ro&immutable=1"
    mode = "ro" if has_wal else without
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)


def _check_health(connection: sqlite3.Connection, path: Path) -> None:
    # Half a second for a million keys.
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        raise StorageError(f"the database {path} is damaged; restore a backup")
