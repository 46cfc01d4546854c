"""Whether a file is ours, found out without changing a byte of it."""

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
    in_a_sentence,
    is_empty,
)
from keyauthority.storage.errors import NoBooksError
from keyauthority.storage.migrations import SCHEMA

KIND: Final = Kind(
    application_id=0x6F70746B,  # "optk" in ASCII
    # Without `automatic_index` SQLite would rather index all secrets anew for each batch of verdicts
    # than use the index that is there.
    pragmas={"journal_mode": "wal", **DURABLE, "checkpoint_fullfsync": 1, "automatic_index": 0},
    schema=SCHEMA,
)

IN_USE: Final = 1
"""The `user_version` of a file that is of no use without its write-ahead log: it is set while a
process has the file, and unset by its clean end, when the log is moved into the file.
"""

_WRITE_VERSION: Final = 18
_WITH_WAL: Final = 2


def wal_of(path: Path) -> Path:
    """Where SQLite keeps the write-ahead log of the database at *path*."""
    return path.with_name(f"{path.name}-wal")


def is_new(path: Path, *, restored: bool = False) -> bool:
    """Whether there is nothing at *path* yet, or nothing in it.

    Raises `StorageError` for whatever is there and isn't a database that this version can open, or
    has lost a part. *restored*: it may be a copy that was made while it was in use, but books that
    were never begun are none; then this raises `NoBooksError`.
    """
    with in_a_sentence(path, "read"):
        if not path.exists() or path.stat().st_size == 0:
            _check_nothing_is_left(path)
            return True
        check_is_sqlite(path)
        if not os.access(path, os.W_OK):
            raise StorageError(f"the database {path} is read-only; let this user write it")
        # Before the look, which makes an empty one for as long as it takes.
        has_wal = wal_of(path).exists()
        with closing(_look_at(path)) as connection:
            new = is_empty(connection, path, KIND)
            if not new:
                _check_health(connection, path)
            if restored:
                _check_begun(connection, path, new=new)
            elif not has_wal:
                _check_whole(connection, path)
            return new


def _check_nothing_is_left(path: Path) -> None:
    # SQLite would delete it, and with it what is left of the books.
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


def _look_at(path: Path) -> sqlite3.Connection:
    # A reader leaves a WAL that a crash left as it is; a writer would move it into the file.
    mode = "ro" if wal_of(path).exists() else "rw"
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)


def _check_health(connection: sqlite3.Connection, path: Path) -> None:
    # Half a second for a million keys.
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        raise StorageError(f"the database {path} is damaged; restore a backup")
