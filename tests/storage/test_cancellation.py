"""Cancellation, and the one connection that must outlive it."""

import asyncio
import functools
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from keyauthority.base.relational.outages import StorageError
from keyauthority.domain.repositories import Transaction
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import migrate_sqlite, open_sqlite
from keyauthority.storage.sqlite.lock import locked
from tests.conformance.cancelling import at_every_await
from tests.conformance.records import ManualClock, a_key
from tests.storage.parts import on_driver
from tests.transactions import changing


async def test_a_storm_of_cancellations(store: SqlStore) -> None:
    """Hundreds of changes and reads cancelled at any moment leave a sound, usable database."""
    chance = random.Random(7)
    committed = []
    started = set()

    async def change(n: int) -> None:
        async def work(tx: Transaction) -> None:
            await tx.keys.insert(a_key(f"key_{n:03}"))
            await tx.feed.advance([f"key_{n:03}"])

        await store.change(work)
        committed.append(f"key_{n:03}")

    async def look(n: int) -> None:
        snapshot = await store.snapshot([f"key_{n:03}"])
        head = await store.read(lambda tx: tx.feed.head())
        assert head.revision >= snapshot.head.revision

    for n in range(300):
        tasks = [asyncio.create_task(change(n)), asyncio.create_task(look(n))]
        started.update(tasks)
        await asyncio.sleep(chance.random() / 300)
        for task in tasks:
            if chance.random() < 0.7:
                task.cancel()
        if chance.random() < 0.3:
            await asyncio.wait(tasks)
    await asyncio.wait(started)

    ids = [f"key_{n:03}" for n in range(300)]
    snapshot = await store.snapshot(ids)
    assert 0 < len(committed) < 300
    assert set(committed) <= set(snapshot.keys)
    assert snapshot.head.revision == len(snapshot.keys)
    assert await on_driver(store, "PRAGMA integrity_check") == [("ok",)]


class SlowConnection(sqlite3.Connection):
    """Takes its time to open and to close, and is remembered in between."""

    open: ClassVar[set[int]] = set()

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        SlowConnection.open.add(id(self))
        time.sleep(0.005)

    def close(self) -> None:
        time.sleep(0.005)
        super().close()
        SlowConnection.open.discard(id(self))


SLOWLY = functools.partial(sqlite3.connect, factory=SlowConnection)


async def test_opening_and_closing_cancelled_at_any_await(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a start or an end is cancelled, no connection outlives the lock."""
    monkeypatch.setattr(sqlite3, "connect", SLOWLY)

    async def work() -> None:
        async with open_sqlite(path, ManualClock()):
            pass

    async def after() -> None:
        assert not SlowConnection.open
        async with open_sqlite(path, ManualClock()) as store:
            await store.snapshot([])

    assert await at_every_await(work, after) > 0


async def test_a_close_waits_for_a_change_under_way(path: Path) -> None:
    """What was begun before the end is finished before the end."""
    under_way = asyncio.Event()

    async def change(store: SqlStore) -> None:
        async with changing(store) as tx:
            under_way.set()
            await asyncio.sleep(0.02)
            await tx.feed.advance(["a"])

    async with open_sqlite(path, ManualClock()) as store:
        change_under_way = asyncio.create_task(change(store))
        await under_way.wait()
    await change_under_way

    async with open_sqlite(path, ManualClock()) as store:
        assert (await store.snapshot([])).head.revision == 1


async def test_a_close_cancelled_while_it_waits(path: Path) -> None:
    """Not even a cancelled end leaves a change behind that nobody waits for."""
    under_way = asyncio.Event()
    changes: list[asyncio.Task[None]] = []

    async def change(store: SqlStore) -> None:
        async with changing(store) as tx:
            under_way.set()
            await asyncio.sleep(0.02)
            await tx.feed.advance(["a"])

    async def serve() -> None:
        async with open_sqlite(path, ManualClock()) as store:
            changes.append(asyncio.create_task(change(store)))
            await under_way.wait()

    serving = asyncio.create_task(serve())
    await under_way.wait()
    await asyncio.sleep(0.001)
    serving.cancel()
    await asyncio.wait({serving})

    assert changes[0].done()
    await changes[0]


async def test_a_start_cancelled_while_it_migrates(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is held until the thread that migrates is done."""

    async def serve() -> None:
        async with open_sqlite(path, ManualClock()):
            pass

    migrate_sqlite(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        # What is to be written waits for the end of this.
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(sqlite3, "connect", SLOWLY)
        serving = asyncio.create_task(serve())
        while not SlowConnection.open:  # noqa: ASYNC110  # a thread can't wake us
            await asyncio.sleep(0)
        serving.cancel()
        ended, _ = await asyncio.wait({serving}, timeout=0.05)
        assert not ended
        with pytest.raises(StorageError, match="is in use by"), locked(path):
            pass
        other.execute("ROLLBACK")

    await asyncio.wait({serving})
    assert serving.cancelled()
    assert not SlowConnection.open
    with locked(path):
        pass
