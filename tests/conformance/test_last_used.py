"""When secrets were last used, beside the keys."""

from __future__ import annotations

from datetime import datetime

from keyauthority.domain.last_used import AT_ONCE, Marks
from keyauthority.domain.ports import Store
from tests.conformance.records import MICROSECOND, SECOND, START, a_key, a_secret, undone
from tests.transactions import changing, reading


async def note(store: Store, marks: Marks) -> None:
    async with changing(store) as tx:
        await tx.last_used.note(marks)


async def of(store: Store, *key_ids: str) -> dict[str, dict[bytes, datetime]]:
    async with reading(store) as tx:
        return await tx.last_used.of(key_ids)


async def test_what_is_noted_is_known(store: Store) -> None:
    """Each secret has its own time, to the microsecond; a key that was never used has none."""
    marks = {
        ("key_1", b"a"): START,
        ("key_1", b"b"): START + MICROSECOND,
        ("key_2", b"a"): START + SECOND,
    }
    await note(store, marks)

    assert await of(store, "key_1", "key_3") == {"key_1": {b"a": START, b"b": START + MICROSECOND}}
    assert await of(store, "key_2") == {"key_2": {b"a": START + SECOND}}
    assert await of(store) == {}


async def test_the_later_use_stays(store: Store) -> None:
    """Whichever replica writes last, a use is never forgotten for an earlier one."""
    await note(store, {("key_1", b"a"): START, ("key_1", b"b"): START})
    await note(store, {("key_1", b"a"): START + SECOND, ("key_1", b"b"): START - SECOND})

    assert await of(store, "key_1") == {"key_1": {b"a": START + SECOND, b"b": START}}


async def test_a_whole_batch_at_once(store: Store) -> None:
    """As many as make a batch are new, then replaced; nothing at all may be written too."""
    secrets = [(f"key_{number}", b"a") for number in range(AT_ONCE)]
    await note(store, {})
    await note(store, dict.fromkeys(secrets, START))
    await note(store, dict.fromkeys(secrets, START + SECOND))

    known = await of(store, *(key_id for key_id, _ in secrets))
    assert known == {key_id: {b"a": START + SECOND} for key_id, _ in secrets}


async def test_an_undone_note_leaves_nothing(store: Store) -> None:
    """Marks are written all together or not at all."""
    async with undone(store) as tx:
        await tx.last_used.note({("key_1", b"a"): START})

    assert await of(store, "key_1") == {}


async def test_a_note_is_no_change(store: Store) -> None:
    """Neither the key's record nor the revision knows of it."""
    key = a_key()
    async with changing(store) as tx:
        await tx.keys.insert(key)
    before = await store.snapshot([key.id])

    await note(store, {(key.id, key.secrets[0].digest): START})

    assert await store.snapshot([key.id]) == before


async def test_a_forgotten_pepper_leaves_the_keys_last_use(store: Store) -> None:
    """Digests made with it are in no table any more, and yet the key doesn't seem unused."""
    secrets = (a_secret(b"new", pepper_version=2), a_secret(b"late"), a_secret(b"early"))
    async with changing(store) as tx:
        await tx.keys.insert(a_key("key_1", secrets=secrets))
        await tx.keys.insert(a_key("key_2"))
    marks = {
        ("key_1", b"new"): START,
        ("key_1", b"late"): START + SECOND,
        ("key_1", b"early"): START - SECOND,
    }
    await note(store, marks)

    async with changing(store) as tx:
        await tx.peppers.forget(1)

    assert await of(store, "key_1", "key_2") == {"key_1": {b"new": START, b"": START + SECOND}}


async def test_peppers_forgotten_one_after_the_other(store: Store) -> None:
    """Of what they leave of a key the later use stays, whichever goes first."""
    for key_id, first, second in (("key_1", 1, 2), ("key_2", 2, 1)):
        secrets = (a_secret(b"a", pepper_version=first), a_secret(b"b", pepper_version=second))
        async with changing(store) as tx:
            await tx.keys.insert(a_key(key_id, secrets=secrets))
            await tx.last_used.note({(key_id, b"a"): START, (key_id, b"b"): START + SECOND})

    for version in (1, 2):
        async with changing(store) as tx:
            await tx.peppers.forget(version)

    assert await of(store, "key_1", "key_2") == {
        key_id: {b"": START + SECOND} for key_id in ("key_1", "key_2")
    }
