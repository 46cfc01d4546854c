"""Secrets that are presented: of a key, only what was presented of it is read."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from keyauthority.domain.keys import Key
from keyauthority.domain.ports import Store
from tests.conformance.records import a_key, a_secret, a_workspace
from tests.transactions import changing

MINTED = [bytes([number]) * 32 for number in range(30)]
FOREIGN = b"f" * 32
WRONG = b"w" * 32


@pytest.fixture
async def rotated(store: Store) -> Key:
    """A key that has had thirty secrets, and beside it an imported one."""
    key = a_key("key_1", secrets=tuple(a_secret(digest) for digest in reversed(MINTED)))
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2", suspended=True))
        await tx.keys.insert(key)
        imported = a_key("key_2", workspace_id="ws_2", secrets=(a_secret(FOREIGN),))
        await tx.keys.insert_imported([imported])
    return key


async def found(
    store: Store, key_ids: Sequence[str], foreign: Sequence[bytes], digests: Sequence[bytes]
) -> dict[str, list[bytes]]:
    """The digests that were found, by their keys."""
    snapshot = await store.snapshot(key_ids, foreign, digests)
    return {key.id: [one.digest for one in key.secrets] for key in snapshot.keys.values()}


@pytest.mark.parametrize("digest", [MINTED[0], MINTED[13], MINTED[29]])
async def test_the_secret_and_its_key(store: Store, rotated: Key, digest: bytes) -> None:
    """Whichever of its secrets it is, that one and no other is read."""
    assert await found(store, ["key_1"], [], [digest]) == {"key_1": [digest]}


async def test_a_wrong_secret_is_as_one_of_no_key(store: Store, rotated: Key) -> None:
    """The key is not even read: that takes time, and the time would tell that it exists."""
    for key_id in ("key_1", "key_9"):
        for digests in ([WRONG], [WRONG, WRONG + b"2"], [WRONG + bytes([n]) for n in range(20)]):
            snapshot = await store.snapshot([key_id], [], digests)
            assert (snapshot.keys, snapshot.imports, snapshot.suspended) == ({}, {}, frozenset())
            assert snapshot.head.epoch


async def test_a_secret_counts_only_for_its_own_key(store: Store, rotated: Key) -> None:
    """A digest that another key has is nothing for the one that is named."""
    assert await found(store, ["key_2"], [], [MINTED[0]]) == {}


async def test_both_kinds_together(store: Store, rotated: Key) -> None:
    """Few or many, minted and imported are found in one statement, with who is suspended."""
    few, many = [MINTED[3], FOREIGN, WRONG], [*MINTED, FOREIGN, WRONG]
    assert await found(store, ["key_1", "key_9"], [FOREIGN, WRONG], few) == {
        "key_1": [MINTED[3]],
        "key_2": [FOREIGN],
    }
    assert await found(store, ["key_1", "key_9"], [FOREIGN, WRONG], many) == {
        "key_1": list(reversed(MINTED)),
        "key_2": [FOREIGN],
    }
    snapshot = await store.snapshot([], [FOREIGN], [FOREIGN])
    assert (snapshot.imports, snapshot.suspended) == ({FOREIGN: "key_2"}, frozenset({"ws_2"}))
