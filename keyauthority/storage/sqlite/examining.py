"""Whether a file is ours, found out without changing a byte of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from keyauthority.storage import migrations
from keyauthority.storage.errors import StorageError

APPLICATION_ID: Final = 0x6F70746B
"""What the header of every database of ours bears: "optk" in ASCII."""

_MAGIC: Final = b"SQLite format 3\0"


def is_new(path: Path) -> bool:
    """Whether there is nothing at *path* yet, or nothing in it.

    Raises `StorageError` for whatever is there and isn't a database that this version can open.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            return True
        _check_file(path)
        with closing(_look_at(path)) as connection:
            return _is_empty(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(f"the database {path} can't be read: {_why(error)}") from error


def _check_file(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise StorageError(f"{path} is no SQLite database; move it away or name another file")
    if not os.access(path, os.W_OK):
        raise StorageError(f"the database {path} is read-only; let this user write it")


def _look_at(path: Path) -> sqlite3.Connection:
    # A reader leaves a WAL that a crash left as it is; a writer would move it into the file.
    mode = "ro" if path.with_name(f"{path.name}-wal").exists() else "rw"
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True)


def _is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id == 0 and tables == 0:
        return True
    if application_id != APPLICATION_ID:
        raise StorageError(f"{path} is the database of another program; name another file")
    _check_revision(connection, path)
    # Half a second for a million keys.
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        raise StorageError(f"the database {path} is damaged; restore a backup")
    return False


def _check_revision(connection: sqlite3.Connection, path: Path) -> None:
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if not migrations.is_known(revision):
        raise StorageError(
            f"the database {path} was written by a newer version (schema {revision}); "
            "use that version, or restore a backup from before it"
        )


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
