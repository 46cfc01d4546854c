"""Reaching behind the store, and beside it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from alembic import command
from sqlalchemy import Connection

from keyauthority.storage.migrations import SCHEMA
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite.database import SqliteDatabase

BEFORE_PEOPLE: Final = (
    "INSERT INTO workspaces VALUES ('ws_1', 'acme', false, 0, 0, 1)",
    """INSERT INTO keys (id, workspace_id, name, scopes, labels, disabled, create_time, update_time,
        version) VALUES ('key_1', 'ws_1', 'a key', '[]', '{}', false, 0, 0, 1)""",
    """INSERT INTO callers (id, name, roles, workspace_ids, certificate_name, digest, pepper_version,
        token_hint, create_time) VALUES ('caller_1', 'billing', 1, '[]', '', '', 1, '', 0)""",
    """INSERT INTO audit (time, caller_id, caller_name, action, subject, workspace_id, refused,
        source, request_id, details, revision)
        VALUES (0, 'caller_1', 'billing', 'IssueKey', 'key_1', 'ws_1', false, '', '', '{}', 7)""",
)
"""Rows as they were written when callers acted for themselves only, up to schema 0003."""


OF_A_NEWER_VERSION: Final = (
    "UPDATE alembic_version SET version_num = '9999'",
    "UPDATE compatibility SET usable_from = '9999'",
)
"""What a newer version writes whose tables this one may not use."""


def upgrade_to(revision: str) -> Callable[[Connection], None]:
    """`SCHEMA.upgrade` as it was when *revision* was the newest."""

    def upgrade(connection: Connection) -> None:
        config = SCHEMA.config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return upgrade


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
