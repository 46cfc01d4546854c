"""Filling an authority's books with many keys, straight into the tables in one transaction."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Column, Connection, Table, create_engine, insert, text

from benchmarks import paths
from benchmarks.authority import SCOPES
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.secrets import mint, new_id
from keyauthority.keyring import FileKeyring
from keyauthority.storage import tables
from keyauthority.storage.sql import records

_CACHE: Final = "PRAGMA cache_size = -1000000"
"""A GB, in KiB: rows come in no order, and each belongs elsewhere in the indexes."""


def fill(data_dir: Path, workspace_id: str, count: int, usable: int) -> list[str]:
    """Adds *count* keys, some, to the SQLite books of an authority that is not running.

    Returns the secrets of *usable* of them, at random places; the others' are nobody's.
    """
    keyring = FileKeyring.load(paths.keyring(data_dir))
    made = [_mint(workspace_id, keyring) for _ in range(usable)]
    engine = create_engine(f"sqlite:///{paths.database(data_dir)}")
    with engine.begin() as connection:
        connection.execute(text(_CACHE))
        _insert(connection, [key for key, _ in made])
        _multiply(connection, made[0][0].id, count - usable)
    engine.dispose()
    secrets = [secret for _, secret in made]
    random.shuffle(secrets)
    return secrets


def _mint(workspace_id: str, keyring: FileKeyring) -> tuple[Key, str]:
    now = datetime.now(UTC)
    key_id, version = new_id("key"), keyring.versions()[-1]
    secret = mint(key_id)
    digest = keyring.digest(version, key_id, secret.reveal())
    stored = StoredSecret(digest, version, secret.hint, now)
    key = Key(key_id, workspace_id, "bench", SCOPES, {}, False, None, now, now, None, 1, (stored,))
    return key, secret.reveal()


def _insert(connection: Connection, keys: Sequence[Key]) -> None:
    connection.execute(insert(tables.keys), [records.key_row(key) for key in keys])
    rows = [records.secret_row(key.id, key.secrets[0]) for key in keys]
    connection.execute(insert(tables.secrets), rows)


def _multiply(connection: Connection, pattern: str, count: int) -> None:
    # In SQL, as a million of rows from Python take a minute. Sixteen of the letters of an id; the
    # secrets' digests are of nothing.
    connection.execute(
        text(
            "CREATE TEMP TABLE added AS WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL "
            "SELECT n + 1 FROM numbers WHERE n < :count) "
            "SELECT 'key_' || hex(randomblob(8)) AS id FROM numbers WHERE :count > 0"
        ),
        {"count": count},
    )
    _copies(connection, tables.keys, tables.keys.c.id, {"id": "added.id"}, pattern)
    made = {"key_id": "added.id", "digest": "randomblob(32)"}
    _copies(connection, tables.secrets, tables.secrets.c.key_id, made, pattern)


def _copies(
    connection: Connection, table: Table, of: Column[str], made: dict[str, str], pattern: str
) -> None:
    """A copy of the row whose column *of* is *pattern* for each row added, with *made* instead."""
    names = [one.name for one in table.c if one.name != "id" or "id" in made]
    values = ", ".join(made.get(name, f"old.{name}") for name in names)
    connection.execute(
        text(
            f"INSERT INTO {table.name} ({', '.join(names)}) "
            f"SELECT {values} FROM added, {table.name} AS old WHERE old.{of.name} = :pattern"
        ),
        {"pattern": pattern},
    )
