"""Reaching behind the store, and beside it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite.database import SqliteDatabase


async def on_driver(store: SqlStore, sql: str) -> list[tuple[Any, ...]]:
    """What *sql* gives on the store's own connection."""
    database = store._database
    assert isinstance(database, SqliteDatabase)
    return [tuple(row) for row in await database._driver.execute_fetchall(sql)]


def run_sql(path: Path, *statements: str) -> None:
    """Does *statements* on a connection of one's own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def files(path: Path) -> dict[str, bytes]:
    """The database with all its side files but the lock, and SQLite's index of the WAL."""
    return {
        file.name: file.read_bytes()
        for file in path.parent.glob(f"{path.name}*")
        if not file.name.endswith((".lock", "-shm"))
    }


def as_after_a_crash(path: Path, directory: Path) -> Path:
    """A copy of the open database as a process that was killed now would leave it."""
    directory.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", directory)
    return directory / path.name


def start(code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A Python process of its own that runs *code*."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
