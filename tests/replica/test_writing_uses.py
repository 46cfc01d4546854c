"""Writing uses down behind the calls, whatever becomes of the books meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import pytest
import structlog

from keyauthority.domain.last_used import AT_ONCE, LastUsed
from keyauthority.replica.housekeeping import keep_writing_uses, write_uses
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import SECOND, START, ManualClock
from tests.rpc.parts import eventually
from tests.storage.parts import on_driver
from tests.transactions import reading

USE = ("key_1", b"needle")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    async with open_sqlite(path, ManualClock(), patience=0.05) as store:
        yield store


async def known(store: SqlStore, *key_ids: str) -> dict[str, dict[bytes, datetime]]:
    async with reading(store) as tx:
        return await tx.last_used.of(key_ids)


async def test_an_outage_of_the_books_loses_nothing(store: SqlStore, path: Path) -> None:
    """What could not be written is written in the next round; the log says why, and no digest."""
    uses = LastUsed()
    uses.mark(*USE, START)
    with structlog.testing.capture_logs() as logs, closing(sqlite3.connect(path)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        await write_uses(store, uses, 0)
        tool.execute("ROLLBACK")
    uses.mark("key_2", b"b", START)
    await write_uses(store, uses, 10)

    assert await known(store, "key_1", "key_2") == {
        "key_1": {b"needle": START},
        "key_2": {b"b": START},
    }
    [line] = logs
    assert (line["event"], line["reason"]) == ("last_used_not_written", "STORE_UNAVAILABLE")
    assert "needle" not in str(logs)


async def test_every_batch_of_a_round_is_written(store: SqlStore) -> None:
    """More secrets than one batch holds are all in the books after one round."""
    uses = LastUsed()
    key_ids = [f"key_{number}" for number in range(AT_ONCE + 1)]
    for key_id in key_ids:
        uses.mark(key_id, b"a", START)

    await write_uses(store, uses, 0)

    assert len(await known(store, *key_ids)) == AT_ONCE + 1
    assert uses.due(100) == []


async def test_rounds_go_on_after_a_mistake_and_the_last_one_writes_all(store: SqlStore) -> None:
    """Whatever fails fails one round only; at the stop even what was written just now is written."""
    await on_driver(store, "ALTER TABLE last_used RENAME TO mislaid")
    uses = LastUsed()
    uses.mark(*USE, START)
    with structlog.testing.capture_logs() as logs:
        writing = asyncio.create_task(keep_writing_uses(store, uses, every=0.01))

        async def failed() -> bool:
            return bool(logs)

        async def written() -> bool:
            return bool(await known(store, "key_1"))

        await eventually(failed)
        await on_driver(store, "ALTER TABLE mislaid RENAME TO last_used")
        await eventually(written)
    uses.mark(*USE, START + SECOND)

    writing.cancel()
    with suppress(asyncio.CancelledError):
        await writing

    assert await known(store, "key_1") == {"key_1": {b"needle": START + SECOND}}
