"""Cancellation, and the one connection that must outlive it."""

import asyncio
import random
import threading
from pathlib import Path

from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.cancelling import at_every_await
from tests.conformance.records import ManualClock, a_key
from tests.storage.parts import on_driver


async def test_a_storm_of_cancellations(store: SqlStore) -> None:
    """Hundreds of changes and reads cancelled at any moment leave a sound, usable database."""
    chance = random.Random(7)
    kept = []

    async def change(n: int) -> None:
        async with store.changing() as tx:
            await tx.keys.insert(a_key(f"key_{n:03}"))
            await tx.feed.advance([f"key_{n:03}"])
        kept.append(f"key_{n:03}")

    async def look(n: int) -> None:
        snapshot = await store.snapshot([f"key_{n:03}"])
        async with store.reading() as tx:
            assert (await tx.feed.head()).revision >= snapshot.head.revision

    for n in range(300):
        tasks = [asyncio.create_task(change(n)), asyncio.create_task(look(n))]
        await asyncio.sleep(chance.random() / 300)
        for task in tasks:
            if chance.random() < 0.7:
                task.cancel()
        if chance.random() < 0.3:
            await asyncio.wait(tasks)
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})

    ids = [f"key_{n:03}" for n in range(300)]
    snapshot = await store.snapshot(ids)
    assert 0 < len(kept) < 300
    assert set(kept) <= set(snapshot.keys)
    assert snapshot.head.revision == len(snapshot.keys)
    assert await on_driver(store, "PRAGMA integrity_check") == [("ok",)]


async def test_opening_cancelled_at_any_await(path: Path) -> None:
    """A start that is cancelled holds no lock and leaves no thread behind."""
    threads = threading.active_count()

    async def work() -> None:
        async with open_sqlite(path, ManualClock()):
            pass

    async def after() -> None:
        async with open_sqlite(path, ManualClock()) as store:
            await store.snapshot([])

    assert await at_every_await(work, after) > 0
    # One thread stays with the event loop: it prepares the file.
    assert threading.active_count() <= threads + 2


async def test_a_close_waits_for_a_change_under_way(path: Path) -> None:
    """What was begun before the end is finished before the end."""
    under_way = asyncio.Event()

    async def change(store: SqlStore) -> None:
        async with store.changing() as tx:
            under_way.set()
            await asyncio.sleep(0.02)
            await tx.feed.advance(["a"])

    async with open_sqlite(path, ManualClock()) as store:
        changing = asyncio.create_task(change(store))
        await under_way.wait()
    await changing

    async with open_sqlite(path, ManualClock()) as store:
        assert (await store.snapshot([])).head.revision == 1
