"""What the disk, the file and our own mistakes do to a transaction."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.repositories import Transaction
from keyauthority.storage.sql.store import SqlStore
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import ManualClock, a_caller, a_key, a_replay
from tests.storage.parts import on_driver, start
from tests.transactions import changing

FILL_THE_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.storage.sqlite import open_sqlite
from tests.conformance.records import ManualClock, a_replay
from tests.transactions import changing

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

async def put(store, name):
    try:
        async with changing(store) as tx:
            await tx.replays.put(a_replay(name, sealed=b"s" * 20_000))
            await tx.feed.advance([name])
        return "done"
    except KeyAuthorityError as error:
        return f"{error.reason.name}: {error.message}"

async def main(path):
    async with open_sqlite(path, ManualClock()) as store:
        answers = [await put(store, "before")]
        room(Path(f"{path}-wal").stat().st_size + 10_000)
        answers += [await put(store, "during"), await put(store, "during")]
        answers.append((await store.snapshot([])).head.revision)
        room(resource.RLIM_INFINITY)
        answers += [await put(store, "after"), (await store.snapshot([])).head.revision]
        print(json.dumps(answers))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_commit_without_room_for_it(path: Path) -> None:
    """A commit that can't be written is an outage without a trace; with room, all goes on."""
    output, errors = start(FILL_THE_DISK, path).communicate()

    assert errors == ""
    outage = "STORE_UNAVAILABLE: the database can't be used now"
    assert json.loads(output) == ["done", outage, outage, 1, "done", 2]


async def put(store: SqlStore, name: str, size: int = 10) -> None:
    async with changing(store) as tx:
        await tx.feed.advance([name])
        await tx.replays.put(a_replay(name, sealed=b"s" * size))


async def test_a_full_database(store: SqlStore) -> None:
    """A statement that finds no room is an outage without a trace; with room, all goes on."""
    ((pages,),) = await on_driver(store, "PRAGMA page_count")
    await on_driver(store, f"PRAGMA max_page_count = {pages + 2}")

    with pytest.raises(KeyAuthorityError) as refused:
        await put(store, "large", 100_000)
    revision = (await store.snapshot([])).head.revision
    await put(store, "small")
    await on_driver(store, "PRAGMA max_page_count = 100000")
    await put(store, "large", 100_000)

    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert refused.value.message == "the disk of the database is full"
    assert (revision, (await store.snapshot([])).head.revision) == (0, 2)


async def test_a_block_that_swallows_an_outage_does_not_commit(store: SqlStore) -> None:
    """After a full disk SQLite has undone what was done: going on would make half a change."""
    ((pages,),) = await on_driver(store, "PRAGMA page_count")
    await on_driver(store, f"PRAGMA max_page_count = {pages + 2}")

    async def swallow(tx: Transaction) -> None:
        with pytest.raises(KeyAuthorityError):
            await tx.replays.put(a_replay(sealed=b"s" * 100_000))
        with pytest.raises(KeyAuthorityError):
            await tx.feed.advance(["half"])

    async def change() -> None:
        async with changing(store) as tx:
            await tx.callers.insert(a_caller())
            await swallow(tx)

    with pytest.raises(KeyAuthorityError):
        await change()

    assert (await store.snapshot([])).head.revision == 0
    assert await store.caller("caller_1") is None


async def test_a_database_locked_by_another_program(path: Path) -> None:
    """Somebody at it with a tool makes an outage, and no longer than he is at it."""
    async with open_sqlite(path, ManualClock(), patience=0.05) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            with pytest.raises(KeyAuthorityError) as refused:
                await put(store, "a")
            tool.execute("ROLLBACK")
            await put(store, "a")

    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert refused.value.message == "the database is locked by another program"


async def test_a_change_that_could_not_be_undone(store: SqlStore) -> None:
    """While half a change is open nobody reads of it, and the next transaction undoes it."""
    await on_driver(store, "BEGIN IMMEDIATE")
    await on_driver(store, "UPDATE head SET revision = 99")

    assert (await store.snapshot([])).head.revision == 0
    with pytest.raises(KeyAuthorityError) as refused:
        await store.sessions.standing()
    await put(store, "next")

    assert refused.value.reason is Reason.STORE_UNAVAILABLE
    assert (await store.snapshot([])).head.revision == 1


async def test_a_stop_undoes_a_change_that_could_not_be_undone(path: Path) -> None:
    """The file is whole then, says so, and opens again without the change."""
    async with open_sqlite(path, ManualClock()) as store:
        await put(store, "a")
        await on_driver(store, "BEGIN IMMEDIATE")
        await on_driver(store, "UPDATE head SET revision = 99")

    async with open_sqlite(path, ManualClock()) as store:
        assert (await store.snapshot([])).head.revision == 1


async def test_an_outage_tells_the_log_its_cause(store: SqlStore) -> None:
    """The cause is chained, without the values of the statement, digests among them."""
    ((pages,),) = await on_driver(store, "PRAGMA page_count")
    await on_driver(store, f"PRAGMA max_page_count = {pages}")

    with pytest.raises(KeyAuthorityError) as refused:
        await put(store, "request of mine", 100_000)

    cause = refused.value.__cause__
    assert "database or disk is full" in str(cause)
    assert "request of mine" not in str(cause)
    assert "sss" not in str(cause)


async def test_a_mistake_is_no_outage(store: SqlStore) -> None:
    """A broken constraint shows as what it is, leaves no trace, and tells no values."""

    async def mistake() -> None:
        async with changing(store) as tx:
            await tx.feed.advance(["a"])
            await tx.keys.insert(a_key(workspace_id="ws_nowhere"))

    with pytest.raises(sqlite3.IntegrityError) as error:
        await mistake()

    assert "ws_nowhere" not in str(error.value)
    assert (await store.snapshot([])).head.revision == 0


async def test_a_transaction_is_over_when_it_is_over(store: SqlStore) -> None:
    """Who keeps a transaction beyond its block can't change the books with it."""
    async with changing(store) as tx:
        pass

    with pytest.raises(RuntimeError, match="over"):
        await tx.feed.advance(["late"])
    assert (await store.snapshot([])).head.revision == 0
