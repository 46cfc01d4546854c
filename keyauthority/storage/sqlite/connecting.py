"""The connection, and what is demanded of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

# The file survives a loss of power (FULL, and on macOS F_FULLFSYNC), and what is deleted is
# overwritten. Without `automatic_index` SQLite would rather index all secrets anew for each batch of
# verdicts than use the index that is there. Each is read back: SQLite ignores what it doesn't know or
# can't do.
PRAGMAS: Final[dict[str, str | int]] = {
    "journal_mode": "wal",
    "synchronous": 2,
    "fullfsync": 1,
    "checkpoint_fullfsync": 1,
    "foreign_keys": 1,
    "secure_delete": 1,
    "automatic_index": 0,
    "trusted_schema": 0,
}


def connect(path: Path, wait: int = 5000) -> sqlite3.Connection:
    """A connection to the existing file at *path* that begins no transaction by itself.

    It may be used from any thread, by one at a time. A statement waits up to *wait* milliseconds for
    another program that has the file locked.

    Raises `sqlite3.Error`, or `RuntimeError` if the file can't be held to `PRAGMAS`.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        for name, value in PRAGMAS.items():
            _demand(connection, name, value)
        _demand(connection, "busy_timeout", wait)
    except BaseException:
        connection.close()
        raise
    return connection


def _demand(connection: sqlite3.Connection, name: str, value: str | int) -> None:
    connection.execute(f"PRAGMA {name} = {value}").fetchall()
    (actual,) = connection.execute(f"PRAGMA {name}").fetchone()
    if actual != value:
        raise RuntimeError(f"SQLite answers {name} = {actual}, {value} is needed")
