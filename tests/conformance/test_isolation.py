"""Who sees what of changes under way."""

import asyncio
from dataclasses import replace

from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import KeyFilter, Transaction
from tests.conformance.records import a_key, a_workspace
from tests.transactions import changing, reading

WRITERS = 4
ROUNDS = 8


async def with_keys(store: Store, count: int) -> list[str]:
    key_ids = [f"key_{n:03}" for n in range(count)]
    async with changing(store) as tx:
        for key_id in key_ids:
            await tx.keys.insert(a_key(key_id, name="0"))
    return key_ids


async def rename(tx: Transaction, key_id: str, name: str) -> None:
    before = (await tx.keys.get([key_id]))[key_id]
    await tx.keys.update([(before, before.updated(tx.time, replace(before.settings, name=name)))])


async def test_a_read_does_not_see_a_change_under_way(store: Store) -> None:
    """A key and a revision written in an open transaction are seen by nobody else."""
    async with changing(store) as tx:
        await tx.keys.insert(a_key())
        await tx.feed.advance(["key_1"])
        looking = asyncio.create_task(store.snapshot(["key_1"]))
        await asyncio.wait({looking}, timeout=0.02)
        waited = not looking.done()
    snapshot = await looking

    seen = len(snapshot.keys), snapshot.head.revision
    # A slow machine may take as long for the state before.
    assert seen == (0, 0) or (waited and seen == (1, 1))


async def test_a_snapshot_of_many_keys_is_of_one_state(store: Store) -> None:
    """While writers rename all keys together, a snapshot shows one name and its revision."""
    key_ids = await with_keys(store, 10)
    writing = True

    async def write() -> None:
        for _ in range(ROUNDS):
            async with changing(store) as tx:
                await tx.keys.get(key_ids)  # from here on the other writer waits
                name = str((await tx.feed.head()).revision + 1)
                for key_id in key_ids:
                    await rename(tx, key_id, name)
                    await asyncio.sleep(0)
                await tx.feed.advance([key_ids[0]])

    async def look() -> int:
        looks = 0
        while writing:
            snapshot = await store.snapshot(key_ids)
            names = {key.settings.name for key in snapshot.keys.values()}
            assert names == {str(snapshot.head.revision)}
            looks += 1
            await asyncio.sleep(0)
        return looks

    looking = [asyncio.create_task(look()) for _ in range(3)]
    await asyncio.gather(*(write() for _ in range(2)))
    writing = False

    assert min(await asyncio.gather(*looking)) > 0


async def test_a_reading_transaction_sees_one_state(store: Store) -> None:
    """Reads of one transaction agree with each other although others commit meanwhile."""
    key_ids = await with_keys(store, 2)

    async def write() -> None:
        for n in range(ROUNDS):
            async with changing(store) as tx:
                for key_id in key_ids:
                    await rename(tx, key_id, str(n))
                await tx.feed.advance(key_ids)

    writing = asyncio.create_task(write())
    while not writing.done():
        async with reading(store) as tx:
            first = (await tx.keys.get(key_ids[:1]))[key_ids[0]].settings.name
            head = await tx.feed.head()
            await asyncio.sleep(0.001)
            second = (await tx.keys.get(key_ids[1:]))[key_ids[1]].settings.name
            assert first == second
            assert head == await tx.feed.head()
    await writing


async def test_changes_of_one_key_wait_for_one_another(store: Store) -> None:
    """Many that read a counter and write it back lose nothing."""
    (key_id,) = await with_keys(store, 1)

    async def count() -> None:
        for _ in range(ROUNDS):
            async with changing(store) as tx:
                before = (await tx.keys.get([key_id]))[key_id]
                await asyncio.sleep(0)
                name = str(int(before.settings.name) + 1)
                after = before.updated(tx.time, replace(before.settings, name=name))
                await tx.keys.update([(before, after)])

    await asyncio.gather(*(count() for _ in range(WRITERS)))

    key = (await store.snapshot([key_id])).keys[key_id]
    assert (key.settings.name, key.version) == (str(WRITERS * ROUNDS), 1 + WRITERS * ROUNDS)


async def test_changes_of_one_workspace_wait_for_one_another(store: Store) -> None:
    """A workspace that was read to be changed stays as it was read."""

    async def count() -> None:
        for _ in range(ROUNDS):
            async with changing(store) as tx:
                before = await tx.workspaces.to_change("ws_1")
                assert before is not None
                await asyncio.sleep(0)
                name = f"{before.name}x"
                await tx.workspaces.update(before.updated(tx.time, name=name, suspended=False))

    await asyncio.gather(*(count() for _ in range(WRITERS)))

    async with reading(store) as tx:
        assert await tx.workspaces.get("ws_1") == a_workspace(
            name="acme" + "x" * WRITERS * ROUNDS, version=1 + WRITERS * ROUNDS
        )


async def test_a_change_sees_itself(store: Store) -> None:
    """What a transaction wrote it reads back before it has ended."""
    async with changing(store) as tx:
        await tx.keys.insert(a_key())
        await rename(tx, "key_1", "new name")

        assert (await tx.keys.get(["key_1"]))["key_1"].settings.name == "new name"
        assert [key.settings.name for key in await tx.keys.page(KeyFilter(), 10, None)] == [
            "new name"
        ]
        assert await tx.feed.advance(["key_1"]) == (await tx.feed.head()).revision


async def test_what_was_committed_is_seen_at_once(store: Store) -> None:
    """Every read that begins after a change returned sees it."""
    (key_id,) = await with_keys(store, 1)
    for n in range(ROUNDS):
        async with changing(store) as tx:
            await rename(tx, key_id, str(n))
            revision = await tx.feed.advance([key_id])
        looks = await asyncio.gather(*(store.snapshot([key_id]) for _ in range(5)))

        assert {(look.keys[key_id].settings.name, look.head.revision) for look in looks} == {
            (str(n), revision)
        }
