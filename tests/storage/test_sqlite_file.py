"""The file, and the connection to it."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.sessions import Head
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import open_sqlite
from keyauthority.storage.sqlite.examining import KIND
from tests.conformance.records import (
    DAY,
    START,
    ManualClock,
    a_key,
    a_replay,
    a_secret,
)
from tests.storage.parts import as_after_a_crash, files, on_driver, run_sql
from tests.transactions import changing


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        # Whoever waits inside SQLite keeps everybody out.
        ("busy_timeout", 0),
        ("fullfsync", 1),
    ],
)
async def test_the_connection_is_durable_and_strict(
    store: SqlStore, pragma: str, value: object
) -> None:
    """What was written survives a loss of power, what was deleted is overwritten."""
    assert await on_driver(store, f"PRAGMA {pragma}") == [(value,)]


async def test_a_pragma_that_does_not_hold_is_an_error(path: Path) -> None:
    """A file that can't be used as durably as promised is not used."""
    sideways = replace(KIND, pragmas={**KIND.pragmas, "journal_mode": "sideways"})

    with pytest.raises(StorageError, match=f"{path} can't be opened: SQLite answers journal_mode"):
        async with open_sqlite(path, ManualClock(), kind=sideways):
            pass


async def test_only_the_owner_may_read_the_files(store: SqlStore, path: Path) -> None:
    """The database, its side files and the lock are closed to other users."""
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert set(modes) == {"books.db", "books.db-wal", "books.db-shm", "books.db.lock"}
    assert set(modes.values()) == {0o600}


async def test_an_open_file_mode_is_closed(path: Path) -> None:
    """A database that others could read is closed to them at the next start."""
    async with open_sqlite(path, ManualClock()):
        pass
    path.chmod(0o644)

    async with open_sqlite(path, ManualClock()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_closing_moves_everything_into_the_one_file(path: Path) -> None:
    """After a clean end the file alone is the whole database."""
    async with open_sqlite(path, ManualClock()) as store, changing(store) as tx:
        await tx.feed.advance(["a"])

    assert {file.name for file in path.parent.iterdir()} == {"books.db", "books.db.lock"}


async def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    """The books go on where they ended."""
    for revision in range(3):
        async with open_sqlite(path, ManualClock()) as store:
            assert (await store.snapshot([])).head == Head(1, revision)
            async with changing(store) as tx:
                await tx.feed.advance(["a"])


async def test_what_was_written_is_there_after_a_crash(
    store: SqlStore, path: Path, tmp_path: Path
) -> None:
    """A change that returned is found although the file was never closed."""
    async with changing(store) as tx:
        await tx.keys.insert(a_key())

    copy = as_after_a_crash(path, tmp_path / "crashed")

    async with open_sqlite(copy, ManualClock()) as reopened:
        assert (await reopened.snapshot(["key_1"])).keys == {"key_1": a_key()}


async def test_a_path_through_a_link_is_the_same_database(path: Path, tmp_path: Path) -> None:
    """A symbolic link leads to the books, and to their lock."""
    link = tmp_path / "link.db"
    link.symlink_to(path)

    async with open_sqlite(link, ManualClock()):
        with pytest.raises(StorageError, match="in use"):
            async with open_sqlite(path, ManualClock()):
                pass


async def test_an_empty_file_is_a_new_database(path: Path) -> None:
    """A file without content, or a SQLite database without tables, is filled."""
    path.touch()
    async with open_sqlite(path, ManualClock()) as store:
        assert (await store.snapshot([])).head == Head(1, 0)

    other = path.with_name("other.db")
    run_sql(other, "PRAGMA user_version = 1")
    async with open_sqlite(other, ManualClock()) as store:
        assert (await store.snapshot([])).head == Head(1, 0)


async def test_what_is_destroyed_is_in_no_file(store: SqlStore, path: Path) -> None:
    """Forgotten digests and expired answers are neither in the database nor in its WAL."""
    traces = (b"digest to forget" * 4, b"answer to destroy" * 300)
    async with changing(store) as tx:
        await tx.keys.insert(a_key(secrets=(a_secret(traces[0]),)))
        await tx.replays.put(a_replay(sealed=traces[1], expire_time=START))
    assert all(trace[:16] in b"".join(files(path).values()) for trace in traces)

    async with changing(store) as tx:
        await tx.peppers.forget(1)
    async with changing(store) as tx:
        await tx.replays.prune(START + DAY)

    assert not [trace for trace in traces if trace[:16] in b"".join(files(path).values())]


async def test_a_reader_of_the_file_holds_up_nobody(store: SqlStore, path: Path) -> None:
    """While a backup reads, answers expire and verdicts are given; after it, nothing is left of them."""
    sealed = b"answer to destroy" * 300
    async with changing(store) as tx:
        await tx.replays.put(a_replay(sealed=sealed, expire_time=START))
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM replays").fetchall()

        async with asyncio.timeout(3):
            for _ in range(3):
                async with changing(store) as tx:
                    await tx.replays.put(a_replay(sealed=sealed, expire_time=START))
                    await tx.replays.prune(START + DAY)
                await store.snapshot([])
        assert sealed[:16] in b"".join(files(path).values())

    async with asyncio.timeout(10):
        while sealed[:16] in b"".join(files(path).values()):  # noqa: ASYNC110  # files wake nobody
            await asyncio.sleep(0.05)
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0


async def test_the_end_waits_for_no_reader(path: Path) -> None:
    """Books are closed while a backup reads; what was destroyed goes when they are opened again."""
    sealed = b"answer to destroy" * 300
    with closing(sqlite3.connect(path, isolation_level=None)) as backup:
        async with asyncio.timeout(5), open_sqlite(path, ManualClock()) as store:
            async with changing(store) as tx:
                await tx.replays.put(a_replay(sealed=sealed, expire_time=START))
            backup.execute("BEGIN")
            backup.execute("SELECT count(*) FROM replays").fetchall()
            async with changing(store) as tx:
                await tx.replays.prune(START + DAY)
    async with open_sqlite(path, ManualClock()) as store:
        await store.snapshot([])

    assert sealed[:16] not in b"".join(files(path).values())


async def test_a_program_that_writes_holds_up_no_verdict(store: SqlStore, path: Path) -> None:
    """A change waits for it, verdicts are given meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(advance(store))
        async with asyncio.timeout(3):
            for _ in range(20):
                await store.snapshot([])
                await asyncio.sleep(0.01)
        assert not waiting.done()
        tool.execute("ROLLBACK")

        assert await waiting == 1


async def advance(store: SqlStore) -> int:
    async with changing(store) as tx:
        return await tx.feed.advance(["key_1"])
