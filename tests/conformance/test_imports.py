"""Secrets minted elsewhere, found by their digests."""

from dataclasses import replace

from keyauthority.domain.keys import KEPT_SECRETS
from keyauthority.domain.peppers import PepperState
from keyauthority.domain.ports import Snapshot, Store
from tests.conformance.records import (
    DAY,
    START,
    a_key,
    a_pepper,
    a_secret,
    a_workspace,
    undone,
)
from tests.transactions import changing, reading

DIGEST = bytes(range(32))
UNKNOWN = b"nobody's"

KEY = a_key("key_1", secrets=(a_secret(DIGEST, hint="ab…yz"),))


async def imported(store: Store, *digests: bytes) -> set[bytes]:
    async with reading(store) as tx:
        return await tx.keys.imported(digests)


async def take(store: Store) -> None:
    async with changing(store) as tx:
        await tx.keys.insert_imported([KEY])


def says(snapshot: Snapshot) -> tuple[object, object]:
    return snapshot.keys, snapshot.imports


async def test_a_key_is_found_by_its_digest(store: Store) -> None:
    """The snapshot says whose each digest is, and holds the whole key."""
    await take(store)

    snapshot = await store.snapshot([], [UNKNOWN, DIGEST])

    assert says(snapshot) == ({"key_1": KEY}, {DIGEST: "key_1"})
    assert says(await store.snapshot([], [UNKNOWN])) == ({}, {})
    assert await imported(store, UNKNOWN, DIGEST) == {DIGEST}
    assert await imported(store) == set()


async def test_it_is_a_key_like_any_other(store: Store) -> None:
    """It is found by its id, and listed; by its id alone nothing is said of digests."""
    await take(store)

    assert says(await store.snapshot(["key_1"])) == ({"key_1": KEY}, {})
    async with reading(store) as tx:
        assert await tx.keys.get(["key_1"]) == {"key_1": KEY}


async def test_ids_and_digests_together(store: Store) -> None:
    """Keys of both kinds are read from one state, and one that is asked for twice comes once."""
    await take(store)
    minted = a_key("key_2", workspace_id="ws_2")
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2", suspended=True))
        await tx.keys.insert(minted)

    snapshot = await store.snapshot(["key_2", "key_1", "key_9"], [DIGEST, DIGEST, UNKNOWN])

    assert says(snapshot) == ({"key_1": KEY, "key_2": minted}, {DIGEST: "key_1"})
    assert snapshot.suspended == {"ws_2"}


async def test_the_suspended_workspace_of_an_imported_key(store: Store) -> None:
    """It is told whichever way the key was found."""
    await take(store)
    async with changing(store) as tx:
        await tx.workspaces.update(a_workspace(suspended=True))

    assert (await store.snapshot([], [DIGEST])).suspended == {"ws_1"}


async def test_a_minted_secret_is_not_found_by_its_digest(store: Store) -> None:
    """Only what was imported is."""
    async with changing(store) as tx:
        await tx.keys.insert(KEY)

    assert says(await store.snapshot([], [DIGEST])) == ({}, {})
    assert await imported(store, DIGEST) == set()


async def test_a_thousand_at_a_time(store: Store) -> None:
    """Imported together, found together, among as many that are unknown."""
    digests = [n.to_bytes(32, "big") for n in range(2_000)]
    keys = [a_key(f"key_{n}", secrets=(a_secret(digests[n]),)) for n in range(1_000)]
    async with changing(store) as tx:
        await tx.keys.insert_imported(keys)

    snapshot = await store.snapshot([], digests)

    assert snapshot.keys == {key.id: key for key in keys}
    assert snapshot.imports == {digests[n]: f"key_{n}" for n in range(1_000)}
    assert await imported(store, *digests) == set(digests[:1_000])


async def test_an_import_that_is_undone(store: Store) -> None:
    """Leaves nothing."""
    async with undone(store) as tx:
        await tx.keys.insert_imported([KEY])

    assert says(await store.snapshot(["key_1"], [DIGEST])) == ({}, {})


async def test_a_rotation_keeps_what_was_imported(store: Store) -> None:
    """The old secret ends, and is still found, until its key forgets it."""
    await take(store)
    before = KEY
    for number in range(KEPT_SECRETS):
        assert await imported(store, DIGEST) == {DIGEST}
        after = before.rotated(START, a_secret(f"new {number}".encode()), START + DAY)
        async with changing(store) as tx:
            await tx.keys.update([(before, after)])
        before = after

    assert says(await store.snapshot([], [DIGEST])) == ({}, {})
    assert await imported(store, DIGEST) == set()
    assert (await store.snapshot(["key_1"])).keys == {"key_1": before}


async def test_forgetting_a_version_forgets_what_was_imported_with_it(store: Store) -> None:
    """And nothing that was imported with another."""
    other = b"another"
    kept = a_key("key_2", secrets=(a_secret(other, pepper_version=2),))
    async with changing(store) as tx:
        await tx.keys.insert_imported([KEY, kept])

    async with changing(store) as tx:
        await tx.peppers.forget(1)

    assert says(await store.snapshot([], [DIGEST, other])) == ({"key_2": kept}, {other: "key_2"})
    assert await imported(store, DIGEST, other) == {other}
    assert (await store.snapshot(["key_1"])).keys == {"key_1": a_key("key_1", secrets=())}


async def test_whether_any_were_imported(store: Store) -> None:
    """A snapshot tells it, however it was asked."""
    assert not (await store.snapshot([])).foreign_secrets
    async with changing(store) as tx:
        await tx.leases.put(replace(await tx.leases.terms(), foreign_secrets=True))

    assert (await store.snapshot([])).foreign_secrets
    assert (await store.snapshot([], [DIGEST])).foreign_secrets


async def test_the_newest_pepper_in_use(store: Store) -> None:
    """The newest that anything may be stored with: not one that waits, not one that is retired."""
    assert (await store.snapshot([])).newest_pepper == 0
    states = [PepperState.SUPERSEDED, PepperState.ACTIVE, PepperState.RETIRED, PepperState.ADDED]
    async with changing(store) as tx:
        for version, state in enumerate(states, 1):
            await tx.peppers.put(a_pepper(version, state=state))

    assert (await store.snapshot([])).newest_pepper == 2
    async with changing(store) as tx:
        await tx.peppers.put(a_pepper(4, state=PepperState.SUPERSEDED))
    assert (await store.snapshot([], [DIGEST])).newest_pepper == 4


async def test_those_that_were_never_sealed(store: Store) -> None:
    """They are found by their digests in order, a part at a time, and keep the seals they get."""
    digests = [bytes([n]) * 32 for n in range(4)]
    keys = [
        a_key(f"key_{n}", secrets=(a_secret(digest, seal=b"seal" if n == 2 else None),))
        for n, digest in enumerate(digests)
    ]
    async with changing(store) as tx:
        await tx.keys.insert_imported(keys)
        await tx.keys.insert(a_key("key_9"))

    async with changing(store) as tx:
        first = await tx.keys.never_sealed(2, b"")
        rest = await tx.keys.never_sealed(2, digests[1])
        assert [one.key_id for one in (*first, *rest)] == ["key_0", "key_1", "key_3"]
        assert {one.workspace_id for one in first} == {"ws_1"}
        assert first[0].secret == keys[0].secrets[0]
        sealed = [replace(one, secret=replace(one.secret, seal=b"new")) for one in first]
        await tx.keys.seal(sealed)

    async with reading(store) as tx:
        assert [one.key_id for one in await tx.keys.never_sealed(9, b"")] == ["key_3"]
    [secret] = (await store.snapshot(["key_0"])).keys["key_0"].secrets
    assert secret == replace(keys[0].secrets[0], seal=b"new")
