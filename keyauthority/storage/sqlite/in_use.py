"""The mark on a file that a process has: without its write-ahead log it lacks the last changes."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from keyauthority.storage.errors import StorageError
from keyauthority.storage.sqlite.connecting import connect
from keyauthority.storage.sqlite.examining import IN_USE
from keyauthority.storage.sqlite.faults import sentence


def mark_in_use(path: Path) -> None:
    """Marks the database at *path*, which is open already, so that its log exists and stays.

    Raises `StorageError`.
    """
    try:
        with closing(connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {IN_USE}")
            # Into the file itself: a copy of it alone tells that it isn't whole.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.Error as error:
        raise StorageError(f"the database {path} can't be opened: {sentence(error)}") from error


def unmark(path: Path) -> None:
    """Takes the mark away before the last connection ends and moves the log into the file.

    Should it fail, the log most likely can't be moved either, and stays beside the file.
    """
    with suppress(sqlite3.Error, RuntimeError), closing(connect(path)) as connection:
        connection.execute("PRAGMA user_version = 0")
