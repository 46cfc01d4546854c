"""Filling an authority's books with many keys, straight into the tables in one transaction."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine, insert

from benchmarks import paths
from benchmarks.authority import SCOPES
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.secrets import ALPHABET, ID_LENGTH, mint
from keyauthority.keyring import FileKeyring
from keyauthority.storage import tables
from keyauthority.storage.sql import records

_CHUNK: Final = 10_000


def fill(data_dir: Path, workspace_id: str, count: int, usable: int) -> list[str]:
    """Adds *count* keys to the books of an authority that is not running.

    Returns the secrets of *usable* of them, spread evenly; the others' are nobody's.
    """
    keyring = FileKeyring.load(paths.keyring(data_dir))
    secrets: list[str] = []
    ids = ["key_" + "".join(random.choices(ALPHABET, k=ID_LENGTH)) for _ in range(count)]
    minted = set(ids[:: max(1, count // usable)][:usable])
    keys = _keys(ids, workspace_id, keyring, minted, secrets)
    _insert(paths.database(data_dir), keys)
    random.shuffle(secrets)
    return secrets


def _keys(
    ids: Iterable[str],
    workspace_id: str,
    keyring: FileKeyring,
    minted: set[str],
    secrets: list[str],
) -> Iterator[Key]:
    now = datetime.now(UTC)
    version = keyring.versions()[-1]
    for key_id in ids:
        digest, hint = os.urandom(32), "sk-optk-…"
        if key_id in minted:
            secret = mint(key_id)
            digest, hint = keyring.digest(version, key_id, secret.reveal()), secret.hint
            secrets.append(secret.reveal())
        stored = StoredSecret(digest, version, hint, now)
        yield Key(
            key_id, workspace_id, "bench", SCOPES, {}, False, None, now, now, None, 1, (stored,)
        )


def _insert(database: Path, keys: Iterable[Key]) -> None:
    engine = create_engine(f"sqlite:///{database}")
    with engine.begin() as connection:
        for chunk in _chunks(keys):
            connection.execute(insert(tables.keys), [records.key_row(key) for key in chunk])
            rows = [records.secret_row(key.id, key.secrets[0]) for key in chunk]
            connection.execute(insert(tables.secrets), rows)
    engine.dispose()


def _chunks(keys: Iterable[Key]) -> Iterator[Sequence[Key]]:
    remaining = iter(keys)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
