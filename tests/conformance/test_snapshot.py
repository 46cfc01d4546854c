"""What verdicts are made of."""

import pytest

from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import Head
from tests.conformance.records import (
    MICROSECOND,
    START,
    ManualClock,
    a_caller,
    a_key,
    a_secret,
    a_workspace,
)
from tests.transactions import changing, reading


async def put(store: Store, *key_ids: str, workspace_id: str = "ws_1") -> None:
    async with changing(store) as tx:
        for key_id in key_ids:
            await tx.keys.insert(a_key(key_id, workspace_id=workspace_id))


async def test_new_books(store: Store) -> None:
    """Empty books are of epoch 1 at revision 0."""
    assert (await store.snapshot([])).head == Head(1, 0)


async def test_the_head_is_there_whatever_was_asked(store: Store) -> None:
    """Unknown ids, and none, still tell how far the books are."""
    async with changing(store) as tx:
        await tx.feed.advance(["a", "b"])

    for key_ids in ([], ["key_9"], ["key_8", "key_9"]):
        snapshot = await store.snapshot(key_ids)
        assert (snapshot.head, snapshot.keys, snapshot.suspended) == (Head(1, 2), {}, frozenset())


async def test_a_key_with_all_its_secrets(store: Store) -> None:
    """A key comes whole, its secrets newest first, ended ones too."""
    secrets = tuple(
        a_secret(digest, end_time=end)
        for digest, end in ((b"a", None), (b"c", START), (b"b", START))
    )
    key = a_key(secrets=secrets, scopes=("a", "b"), labels={"x": "y"}, expire_time=START)
    async with changing(store) as tx:
        await tx.keys.insert(key)

    assert (await store.snapshot(["key_1"])).keys == {"key_1": key}


async def test_a_key_without_secrets(store: Store) -> None:
    """A key whose secrets were all forgotten is still a key."""
    async with changing(store) as tx:
        await tx.keys.insert(a_key(secrets=()))

    assert (await store.snapshot(["key_1"])).keys == {"key_1": a_key(secrets=())}


async def test_an_id_asked_for_twice(store: Store) -> None:
    """Asking twice for one key is asking once."""
    await put(store, "key_1")

    assert (await store.snapshot(["key_1", "key_1"])).keys == {"key_1": a_key("key_1")}


async def test_a_thousand_keys(store: Store) -> None:
    """A thousand ids, half of them unknown, are read together."""
    await put(store, *(f"key_{n}" for n in range(500)))

    snapshot = await store.snapshot([f"key_{n}" for n in range(1000)])

    assert snapshot.keys == {f"key_{n}": a_key(f"key_{n}") for n in range(500)}


async def test_suspended_workspaces_of_the_keys_asked_for(store: Store) -> None:
    """Only workspaces that are suspended, and own one of the keys, are named."""
    async with changing(store) as tx:
        for workspace_id in ("ws_2", "ws_3"):
            await tx.workspaces.insert(a_workspace(workspace_id, suspended=True))
    await put(store, "key_1")
    await put(store, "key_2", "key_4", workspace_id="ws_2")

    snapshot = await store.snapshot(["key_1", "key_2", "key_4"])

    assert snapshot.suspended == {"ws_2"}
    assert (await store.snapshot(["key_1"])).suspended == frozenset()


@pytest.mark.parametrize("suspended", [True, False])
async def test_a_workspace_suspended_or_resumed(store: Store, suspended: bool) -> None:
    """A suspension and its end are seen from the next snapshot on."""
    await put(store, "key_1")
    async with changing(store) as tx:
        await tx.workspaces.update(a_workspace(suspended=not suspended))
    async with changing(store) as tx:
        await tx.workspaces.update(a_workspace(suspended=suspended))

    assert (await store.snapshot(["key_1"])).suspended == ({"ws_1"} if suspended else set())


async def test_time_is_the_clocks_to_the_microsecond(store: Store, clock: ManualClock) -> None:
    """Snapshots and transactions tell the time that expiries are judged by."""
    clock.time = START + MICROSECOND

    assert (await store.snapshot([])).time == clock.time
    async with reading(store) as tx:
        assert tx.time == clock.time
    async with changing(store) as tx:
        assert tx.time == clock.time
        clock.time += MICROSECOND
        assert tx.time == START + MICROSECOND


async def test_a_caller_is_read_alone(store: Store) -> None:
    """One caller is found by its id, revoked or not, and an unknown one is not."""
    callers = [a_caller("caller_1"), a_caller("caller_2", revoke_time=START)]
    async with changing(store) as tx:
        for caller in callers:
            await tx.callers.insert(caller)

    assert [await store.caller(f"caller_{n}") for n in (1, 2, 3)] == [*callers, None]
