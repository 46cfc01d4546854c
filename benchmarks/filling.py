"""Fills an authority's books with many keys, straight into the tables in one transaction."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, create_engine, insert, text

from benchmarks.authority import SETTINGS
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.secrets import mint, new_id
from keyauthority.keyring import FileKeyring
from keyauthority.storage import key_tables

CACHE: Final = "PRAGMA cache_size = -1000000"
"""A GB, in KiB: rows come in no order, and the indexes take them everywhere."""


def fill(data_dir: Path, workspace_id: str, count: int, usable: int) -> list[str]:
    """Adds *count* keys to the SQLite books of an authority that is not running.

    Returns the secrets of *usable* of them (one at least), spread evenly; nobody knows the others.
    """
    keyring = FileKeyring.load(data_dir / "keyring.json")
    minted = [_mint(workspace_id, keyring) for _ in range(usable)]
    pattern, *others = [key for key, _ in minted]
    engine = create_engine(f"sqlite:///{data_dir / 'keyauthority.db'}")
    with engine.begin() as connection:
        connection.execute(text(CACHE))
        connection.execute(insert(key_tables.keys), [key_tables.key_row(pattern)])
        rows = [key_tables.secret_row(pattern.id, pattern.secrets[0])]
        connection.execute(insert(key_tables.secrets), rows)
        _plan(connection, count - 1, others)
        _copy(connection, key_tables.keys, "id", pattern.id)
        _copy(connection, key_tables.secrets, "key_id", pattern.id)
    engine.dispose()
    secrets = [secret for _, secret in minted]
    random.shuffle(secrets)
    return secrets


def _mint(workspace_id: str, keyring: FileKeyring) -> tuple[Key, str]:
    now = datetime.now(UTC)
    key_id, version = new_id("key"), keyring.versions()[-1]
    secret = mint(key_id)
    digest = keyring.digest(version, key_id, secret.reveal())
    stored = StoredSecret(digest, version, secret.hint, now)
    key = Key(key_id, workspace_id, SETTINGS, now, now, None, 1, (stored,))
    return key, secret.reveal()


def _plan(connection: Connection, count: int, usable: Sequence[Key]) -> None:
    # In SQL, since a million rows from Python take a minute. An id ends in sixteen letters or digits.
    connection.execute(
        text(
            "CREATE TEMP TABLE added AS WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL "
            "SELECT n + 1 FROM numbers WHERE n < :count) SELECT 'key_' || hex(randomblob(8)) AS id, "
            "randomblob(32) AS digest, 'sk-optk-…' AS hint FROM numbers WHERE :count > 0"
        ),
        {"count": count},
    )
    distance = count // max(1, len(usable))
    for number, key in enumerate(usable):
        (secret,), row = key.secrets, 1 + number * distance
        connection.execute(
            text("UPDATE added SET id = :id, digest = :digest, hint = :hint WHERE rowid = :row"),
            {"row": row, "id": key.id, "digest": secret.digest, "hint": secret.hint},
        )


def _copy(connection: Connection, table: Table, key_column: str, pattern: str) -> None:
    # Each planned key gets a copy of the row of the key *pattern*.
    own = {key_column: "added.id", "digest": "added.digest", "hint": "added.hint"}
    names = [column.name for column in table.c if column.name != "id" or key_column == "id"]
    values = ", ".join(own.get(name, f"old.{name}") for name in names)
    connection.execute(
        text(
            f"INSERT INTO {table.name} ({', '.join(names)}) "
            f"SELECT {values} FROM added, {table.name} AS old WHERE old.{key_column} = :pattern"
        ),
        {"pattern": pattern},
    )
