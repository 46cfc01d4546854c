"""Keys and their secrets."""

from dataclasses import replace
from datetime import datetime

import pytest

from keyauthority.domain.keys import UNKNOWN, Key, KeyState, Revocation, RevocationReason, Who
from keyauthority.domain.ports import Store
from keyauthority.domain.repositories import KeyFilter
from tests.conformance.records import (
    DAY,
    MICROSECOND,
    SECOND,
    START,
    ManualClock,
    a_key,
    a_secret,
    a_workspace,
    an_entry,
    with_settings,
)
from tests.transactions import changing, reading

BY = Who("person_7", "김하나 <hana@example.com>")
REVOCATION = Revocation(START - SECOND, RevocationReason.COMPROMISED, "on a “public” page\n", BY)


async def put(store: Store, *keys: Key) -> None:
    async with changing(store) as tx:
        for key in keys:
            await tx.keys.insert(key)


async def update(store: Store, *changes: tuple[Key, Key]) -> None:
    async with changing(store) as tx:
        await tx.keys.update(changes)


async def get(store: Store, *key_ids: str) -> dict[str, Key]:
    async with reading(store) as tx:
        return await tx.keys.get(key_ids)


async def page(
    store: Store,
    which: KeyFilter | None = None,
    limit: int = 100,
    after: tuple[datetime, str] | None = None,
) -> list[str]:
    async with reading(store) as tx:
        return [key.id for key in await tx.keys.page(which or KeyFilter(), limit, after)]


async def test_a_key_comes_back_as_it_went(store: Store) -> None:
    """Text in any script, order, microseconds and digests of any bytes survive."""
    key = a_key(
        name="Schlüssel 钥匙 🔑 \"'%_\\;--",
        scopes=("write:ü", "read", "", "a,b", '["x"]'),
        labels={"ключ": "значение", "": "", "a": "\t"},
        disabled=True,
        expire_time=datetime.max.replace(tzinfo=START.tzinfo),
        create_time=START + MICROSECOND,
        update_time=START.replace(year=1969) + 3 * MICROSECOND,
        revocation=REVOCATION,
        version=2**53 + 1,
        secrets=(a_secret(bytes(range(256)), pepper_version=7, end_time=START - MICROSECOND),),
    )

    await put(store, key)

    assert await get(store, key.id) == {key.id: key}


@pytest.mark.parametrize("reason", RevocationReason)
async def test_each_reason_for_a_revocation_is_kept(store: Store, reason: RevocationReason) -> None:
    """Why a key was revoked comes back, `UNSPECIFIED` and an empty note too."""
    key = a_key(revocation=Revocation(START, reason, ""))

    await put(store, key)

    assert (await get(store, key.id))[key.id].revocation == key.revocation


async def test_only_keys_that_exist_are_found(store: Store) -> None:
    """Unknown ids are left out; asking for nothing finds nothing."""
    await put(store, a_key("key_1"), a_key("key_2"), a_key("key_3"))

    assert (await get(store, "key_1", "key_9", "key_3")).keys() == {"key_1", "key_3"}
    assert await get(store) == {}


async def test_ids_are_told_apart_by_case(store: Store) -> None:
    """Base62 ids that differ in case only are different keys."""
    await put(store, a_key("key_a"), a_key("key_A"))

    assert (await get(store, "key_A")).keys() == {"key_A"}
    assert (await store.snapshot(["key_a"])).keys.keys() == {"key_a"}


async def test_a_thousand_keys_at_once(store: Store) -> None:
    """A thousand keys are read, changed together and read again."""
    keys = [a_key(f"key_{n}") for n in range(1000)]
    await put(store, *keys)

    changed = [key.revoked(START, RevocationReason.POLICY, "all", BY) for key in keys]
    await update(store, *zip(keys, changed, strict=True))

    assert await get(store, *(key.id for key in keys)) == {key.id: key for key in changed}


async def test_an_update_replaces_every_field(store: Store) -> None:
    """After an update the key is as it was given, and its neighbour as before."""
    before, other = a_key("key_1"), a_key("key_2")
    await put(store, before, other)
    after = with_settings(
        before,
        name="other",
        scopes=("x",),
        labels={"a": "b"},
        disabled=True,
        expire_time=START + DAY,
        update_time=START + SECOND,
        revocation=REVOCATION,
        version=2,
    )

    await update(store, (before, after))

    assert await get(store, "key_1", "key_2") == {"key_1": after, "key_2": other}


async def test_an_update_can_take_an_expiry_away(store: Store) -> None:
    """A field that becomes empty is empty afterwards."""
    before = a_key(expire_time=START)
    await put(store, before)
    after = before.updated(START, replace(before.settings, expire_time=None))

    await update(store, (before, after))

    assert (await get(store, "key_1"))["key_1"].settings.expire_time is None


async def test_an_update_of_nothing(store: Store) -> None:
    """No changes are a change of nothing."""
    await put(store, a_key())

    await update(store)

    assert await get(store, "key_1") == {"key_1": a_key()}


async def test_a_rotation_adds_a_secret_and_ends_others(store: Store) -> None:
    """Rotated again and again, a key shows its secrets newest first with their own ends."""
    key = a_key()
    await put(store, key)
    for n in range(5):
        secret = a_secret(f"rotated {n}".encode(), create_time=START + n * SECOND)
        rotated = key.rotated(START, secret, START + DAY)
        await update(store, (key, rotated))
        key = rotated

    found = (await get(store, "key_1"))["key_1"]

    assert found.secrets == key.secrets
    assert [secret.digest for secret in found.secrets[:2]] == [b"rotated 4", b"rotated 3"]
    assert found.secrets[0].end_time is None
    assert (await store.snapshot(["key_1"])).keys["key_1"] == key


async def test_secrets_of_one_moment_keep_their_order(store: Store) -> None:
    """Secrets minted within the same microsecond, also when imported together, stay in order."""
    secrets = tuple(a_secret(digest) for digest in (b"c", b"a", b"d", b"b"))
    key = a_key(secrets=secrets)
    await put(store, key)
    after = replace(key, secrets=(a_secret(b"e"), a_secret(b"0"), *secrets))

    await update(store, (key, after))

    assert (await get(store, "key_1"))["key_1"].secrets == after.secrets


async def test_old_secrets_are_dropped(store: Store) -> None:
    """Secrets that a key no longer remembers are gone, of this key only."""
    shared = (a_secret(b"new"), a_secret(b"old"))
    one, other = a_key("key_1", secrets=shared), a_key("key_2", secrets=shared)
    await put(store, one, other)
    after = replace(one, secrets=shared[:1])

    await update(store, (one, after))

    assert await get(store, "key_1", "key_2") == {"key_1": after, "key_2": other}


async def test_secrets_of_several_keys_change_together(store: Store) -> None:
    """One update may end, drop and add secrets of many keys."""
    keys = [a_key(f"key_{n}") for n in range(3)]
    await put(store, *keys)
    after = [
        keys[0].rotated(START, a_secret(b"1"), START + DAY),
        replace(keys[1], secrets=()),
        keys[2].rotated(START, a_secret(b"1"), START),
    ]

    await update(store, *zip(keys, after, strict=True))

    assert list((await get(store, "key_0", "key_1", "key_2")).values()) == after


async def test_pages_come_newest_first(store: Store) -> None:
    """Keys are listed by create time downwards, and by id downwards within a microsecond."""
    await put(
        store,
        a_key("key_B"),
        a_key("key_a"),
        a_key("key_old", create_time=START - MICROSECOND),
        a_key("key_new", create_time=START + MICROSECOND),
        a_key("key_1"),
    )

    assert await page(store) == ["key_new", "key_a", "key_B", "key_1", "key_old"]


async def test_ties_are_ordered_across_workspaces(store: Store) -> None:
    """Keys of one moment are listed by id whatever workspace they are of."""
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
    await put(store, *(a_key(f"key_{n}", workspace_id=f"ws_{1 + n % 2}") for n in range(6)))

    assert await page(store, KeyFilter(("ws_1", "ws_2"))) == [
        f"key_{n}" for n in reversed(range(6))
    ]


async def test_pages_hold_whole_keys(store: Store) -> None:
    """A listed key is the key, secrets included."""
    keys = [a_key(f"key_{n}", secrets=(a_secret(b"b"), a_secret(b"a"))) for n in range(3)]
    await put(store, *keys)

    async with reading(store) as tx:
        assert await tx.keys.page(KeyFilter(), 2, None) == [keys[2], keys[1]]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_join_without_gap_or_overlap(store: Store, limit: int) -> None:
    """Each page begins after the record that the last one ended with, ties included."""
    keys = [a_key(f"key_{n}", create_time=START + n // 3 * SECOND) for n in range(7)]
    await put(store, *keys)

    listed: list[str] = []
    after = None
    while found := await page(store, limit=limit, after=after):
        assert len(found) <= limit
        listed += found
        after = (keys[int(found[-1][4:])].create_time, found[-1])

    assert listed == [f"key_{n}" for n in reversed(range(7))]


async def test_pages_are_complete_while_keys_are_added(store: Store) -> None:
    """Keys issued while somebody turns pages hide none of those that were there before."""
    await put(store, *(a_key(f"key_{n}", create_time=START + n * SECOND) for n in range(6)))

    listed: list[str] = []
    after = None
    while found := await page(store, limit=2, after=after):
        listed += found
        after = (START + int(found[-1][4:]) * SECOND, found[-1])
        await put(store, a_key(f"key_9{len(listed)}", create_time=START + DAY))

    assert listed == ["key_5", "key_4", "key_3", "key_2", "key_1", "key_0"]


async def test_the_filter_by_workspace(store: Store) -> None:
    """None means every workspace, some mean these, and none at all means none."""
    async with changing(store) as tx:
        await tx.workspaces.insert(a_workspace("ws_2"))
        await tx.workspaces.insert(a_workspace("ws_3"))
    await put(store, *(a_key(f"key_{n}", workspace_id=f"ws_{n}") for n in (1, 2, 3)))

    assert await page(store, KeyFilter(None)) == ["key_3", "key_2", "key_1"]
    assert await page(store, KeyFilter(("ws_3", "ws_1"))) == ["key_3", "key_1"]
    assert await page(store, KeyFilter(("ws_9",))) == []
    assert await page(store, KeyFilter(())) == []


async def test_the_filter_by_state_agrees_with_the_domain(store: Store, clock: ManualClock) -> None:
    """Each state lists exactly the keys whose `state` it is, now and after an expiry."""
    keys = [
        a_key(f"key_{name}", revocation=revocation, disabled=disabled, expire_time=expire_time)
        for name, revocation, disabled, expire_time in (
            ("plain", None, False, None),
            ("later", None, False, START + MICROSECOND),
            ("now", None, False, START),
            ("expired", None, False, START - DAY),
            ("disabled", None, True, None),
            ("disabled_later", None, True, START + DAY),
            ("disabled_expired", None, True, START),
            ("revoked", REVOCATION, False, None),
            ("revoked_expired", REVOCATION, False, START),
            ("revoked_disabled", REVOCATION, True, START),
        )
    ]
    await put(store, *keys)

    for now in (START - DAY, START, START + MICROSECOND):
        clock.time = now
        for state in KeyState:
            expected = {key.id for key in keys if key.state(now) is state}
            assert set(await page(store, KeyFilter(state=state))) == expected


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("", {"Prod API", "prod_api", "100% ", "100 x", "Ärger", "a\\b", "a/b", "It's"}),
        ("PROD", {"Prod API", "prod_api"}),
        ("d a", {"Prod API"}),
        ("d_a", {"prod_api"}),
        ("0%", {"100% "}),
        ("%", {"100% "}),
        ("_", {"prod_api"}),
        ("\\", {"a\\b"}),
        ("/", {"a/b"}),
        ("'", {"It's"}),
        ("ÄRG", {"Ärger"}),
        ("ärg", set()),
        ("nothing", set()),
    ],
)
async def test_the_filter_by_name(store: Store, wanted: str, found: set[str]) -> None:
    """A name is found by any part of it; A-Z and a-z are one, nothing is a wildcard."""
    names = ("Prod API", "prod_api", "100% ", "100 x", "Ärger", "a\\b", "a/b", "It's")
    await put(store, *(a_key(f"key_{n}", name=name) for n, name in enumerate(names)))

    async with reading(store) as tx:
        keys = await tx.keys.page(KeyFilter(name_contains=wanted), 100, None)

    assert {key.settings.name for key in keys} == found


async def test_filters_work_together(store: Store) -> None:
    """A key must pass all parts of a filter, and a page is filled with those that do."""
    await put(
        store,
        *(
            a_key(f"key_{n}", disabled=n % 2 == 0, name="even" if n % 4 == 0 else "x")
            for n in range(9)
        ),
    )
    which = KeyFilter(("ws_1",), KeyState.DISABLED, "EVEN")

    assert await page(store, which, limit=2) == ["key_8", "key_4"]
    assert await page(store, which, limit=2, after=(START, "key_4")) == ["key_0"]


async def test_what_no_key_can_be_called_is_not_found(store: Store) -> None:
    """Whatever characters are asked for, they are looked for."""
    await put(store, a_key())

    for text in ("\0", "key_1\0", "key_\ud7ff\uffff\U0010ffff", "'; --", "%", "key\u0001"):
        assert (await store.snapshot([text])).keys == {}
        assert await store.caller(text) is None
        async with changing(store) as tx:
            assert await tx.keys.get([text]) == {}
            assert await tx.workspaces.get(text) is None
            await tx.audit.append([an_entry(source=text)])


class TestTheCreator:
    MINE = a_key(creator=Who("person_1", "김하나 <hana@example.com>"))

    async def test_is_kept(self, store: Store) -> None:
        """Of issued and of imported keys; and an old one has none."""
        imported = a_key("key_2", creator=Who("caller_1", "billing"))
        await put(store, self.MINE, a_key("key_3"))
        async with changing(store) as tx:
            await tx.keys.insert_imported([imported])

        kept = {"key_1": self.MINE, "key_2": imported, "key_3": a_key("key_3")}
        assert await get(store, *kept) == kept

    async def test_is_kept_by_every_change(self, store: Store) -> None:
        """Whatever a change makes of a key: who created it is no field of it that changes."""
        await put(store, self.MINE)
        before = (await store.snapshot(["key_1"])).keys["key_1"]
        after = with_settings(before, name="renamed", version=2, creator=Who("person_2", ""))
        await update(store, (before, after))

        renamed = with_settings(self.MINE, name="renamed", version=2)
        assert await get(store, "key_1") == {"key_1": renamed}

    async def test_is_no_part_of_a_snapshot(self, store: Store) -> None:
        """No verdict asks for it."""
        await put(store, self.MINE)

        assert (await store.snapshot(["key_1"])).keys == {"key_1": a_key()}

    async def test_is_filtered_by(self, store: Store) -> None:
        """Exactly, and together with what else is asked for."""
        await put(
            store,
            self.MINE,
            a_key("key_2", creator=Who("person_1", ""), disabled=True),
            a_key("key_3", creator=Who("person_10", "")),
            a_key("key_4"),
        )

        assert await page(store, KeyFilter(creator_id="person_1")) == ["key_2", "key_1"]
        assert await page(store, KeyFilter(creator_id="person_1"), 1, (START, "key_2")) == ["key_1"]
        disabled = KeyFilter(("ws_1",), KeyState.DISABLED, creator_id="person_1")
        assert await page(store, disabled) == ["key_2"]
        assert await page(store, KeyFilter(creator_id="person_")) == []


class TestWhoDidIt:
    async def test_is_kept_for_revocations_and_secrets(self, store: Store) -> None:
        """Of keys that were issued, imported and changed since."""
        shown = a_secret(b"1", creator=BY)
        issued = a_key(secrets=(shown,))
        imported = a_key("key_2", secrets=(a_secret(b"2", creator=Who("caller_1", "billing")),))
        await put(store, issued)
        async with changing(store) as tx:
            await tx.keys.insert_imported([imported])
        rotated = replace(issued, secrets=(a_secret(b"3", creator=Who("person_8", "")), shown))
        revoked = replace(rotated, revocation=REVOCATION)
        await update(store, (issued, rotated))
        await update(store, (rotated, revoked))

        assert await get(store, "key_1", "key_2") == {"key_1": revoked, "key_2": imported}

    async def test_is_no_part_of_a_snapshot(self, store: Store) -> None:
        """No verdict asks for it."""
        await put(store, a_key(secrets=(a_secret(b"1", creator=BY),), revocation=REVOCATION))

        key = (await store.snapshot(["key_1"])).keys["key_1"]

        assert key.revocation == replace(REVOCATION, by=UNKNOWN)
        assert [one.creator for one in key.secrets] == [UNKNOWN]

    async def test_keys_are_found_by_who_was_shown_a_secret_in_force(
        self, store: Store, clock: ManualClock
    ) -> None:
        """Whoever issued it; what has ended, or a revoked key's, is of no use to anybody."""
        for key_id, end_time in (("key_1", None), ("key_2", START + SECOND), ("key_3", START)):
            theirs = a_secret(f"{key_id}b".encode(), creator=Who("person_8", ""))
            mine = a_secret(f"{key_id}a".encode(), creator=BY, end_time=end_time)
            await put(store, a_key(key_id, secrets=(theirs, mine)))
        await put(store, a_key("key_4", creator=Who("person_7", "")))
        revoked = a_key("key_5", secrets=(a_secret(b"5", creator=BY),), revocation=REVOCATION)
        await put(store, revoked)

        assert await page(store, KeyFilter(secret_creator_id="person_7")) == ["key_2", "key_1"]
        other = KeyFilter(("ws_2",), secret_creator_id="person_7")
        assert await page(store, other) == []
        clock.time = START + SECOND
        assert await page(store, KeyFilter(secret_creator_id="person_7")) == ["key_1"]
