"""Reaching behind the store, and beside it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from alembic import command
from sqlalchemy import Connection, Table

from keyauthority.base.relational import postgres, sqlite
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.schema import Schema
from keyauthority.base.relational.steps import config_of
from keyauthority.domain.facts import Action
from keyauthority.storage import migrations
from keyauthority.storage.postgres.statements import number_of
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite.database import SqliteDatabase
from keyauthority.storage.sqlite.examining import KIND
from keyauthority.storage.tables import compatibility

MIGRATIONS: Final = Path(migrations.__file__).parent

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


BEFORE_FACTS: Final = (
    "INSERT INTO workspaces VALUES ('ws_1', 'acme', false, 0, 0, 1)",
    """INSERT INTO keys (id, workspace_id, name, scopes, labels, disabled, create_time, update_time,
        revoke_time, revoke_reason, revoke_note, version)
        VALUES ('key_1', 'ws_1', 'a key', '[]', '{}', false, 1, 1, 3, 0, '', 3)""",
    """INSERT INTO secrets (key_id, digest, pepper_version, hint, create_time)
        VALUES ('key_1', 'first', 1, 'a', 1)""",
    """INSERT INTO secrets (key_id, digest, pepper_version, hint, create_time)
        VALUES ('key_1', 'second', 1, 'b', 2)""",
    """INSERT INTO audit (time, caller_id, caller_name, action, subject, workspace_id, refused,
        source, request_id, details, revision, person_id, person_name)
        VALUES (1, 'caller_1', 'console', 'KeyService.IssueKey', 'key_1', 'ws_1', false, '', '',
        '{"name": "a key"}', 0, 'person_1', 'alice')""",
    """INSERT INTO audit (time, caller_id, caller_name, action, subject, workspace_id, refused,
        source, request_id, details, revision, person_id, person_name)
        VALUES (2, 'caller_1', 'console', 'KeyService.RotateKey', 'key_1', 'ws_1', false, '', '',
        '{"overlap": "1 day, 0:00:00"}', 1, 'person_2', 'bob')""",
    """INSERT INTO audit (time, caller_id, caller_name, action, subject, workspace_id, refused,
        source, request_id, details, revision)
        VALUES (3, 'caller_2', 'ops', 'KeyService.RevokeKeys', 'key_1', 'ws_1', false, '', '',
        '{}', 2)""",
    """INSERT INTO audit (time, caller_id, caller_name, action, subject, workspace_id, refused,
        source, request_id, details, revision)
        VALUES (4, '', '', 'db restore-epoch', '', '', false, '', '', '{"epoch": "7"}', 0)""",
    """INSERT INTO audit (time, caller_id, caller_name, action, subject, workspace_id, refused,
        source, request_id, details, revision)
        VALUES (5, 'caller_2', 'ops', 'CallerService.RevokeCaller', '', '', true, '', '', '{}', 0)""",
)
"""Rows as they were written before entries told what happened, up to schema 0007."""

FACTS: Final[tuple[tuple[Action, str, dict[str, str]], ...]] = (
    (Action.KEY_ISSUED, "caller_1", {"name": "a key"}),
    (Action.KEY_ROTATED, "caller_1", {"overlap": "24 hours"}),
    (Action.KEY_REVOKED, "caller_2", {}),
    (Action.EPOCH_BEGUN, "operator", {"epoch": "7"}),
    (Action.ATTEMPT_REFUSED, "caller_2", {}),
)
"""What happened by these, oldest first: what, who, and the details."""

OF_A_NEWER_VERSION: Final = (
    "UPDATE alembic_version SET version_num = '9999'",
    "UPDATE compatibility SET usable_from = '9999'",
)
"""What a newer version writes whose tables this one may not use."""


Upgrade = Callable[[Connection], None]


class Upgrading(Schema):
    """The schema in *folder*, whose databases are brought to it by *upgrade*."""

    def __init__(self, folder: Path, compatibility: Table, upgrade: Upgrade) -> None:
        super().__init__(folder, compatibility)
        self._upgrade = upgrade

    def upgrade(self, connection: Connection) -> None:
        self._upgrade(connection)


def upgrade_to(revision: str) -> Upgrade:
    """What `SCHEMA.upgrade` did when *revision* was the newest."""

    def upgrade(connection: Connection) -> None:
        config = config_of(MIGRATIONS)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return upgrade


def migrate_file(path: Path, upgrade: Upgrade) -> None:
    """Makes a SQLite file as a first start does, and has *upgrade* bring it to its schema."""
    run_sql(path, f"PRAGMA application_id = {KIND.application_id}")
    path.chmod(0o600)
    sqlite.migrate(path, replace(KIND, schema=_authoritys(upgrade)))


async def migrate_server(url: PostgresUrl, upgrade: Upgrade) -> None:
    """Has *upgrade* bring a PostgreSQL database to its schema."""
    schema = _authoritys(upgrade)
    await postgres.migrate(url, "a test", schema, number_of("schema"), alone=False)


def _authoritys(upgrade: Upgrade) -> Schema:
    return Upgrading(MIGRATIONS, compatibility, upgrade)


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
