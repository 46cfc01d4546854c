"""What the list of keys makes of keys: rows, what deserves a look, search and order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from console import key_views
from console.key_views import KeyRow
from keyauthority.client.admin import Key, KeySettings, KeyState, SecretInfo
from keyauthority.domain.keys import Who

NOW = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)


def key(
    state: KeyState = KeyState.ACTIVE,
    *,
    created: datetime = NOW - DAY,
    used: datetime | None = None,
    expires: datetime | None = NOW + 60 * DAY,
) -> Key:
    return Key(
        id="key_1",
        workspace_id="ws_1",
        settings=KeySettings("billing", expire_time=expires),
        state=state,
        secrets=(),
        create_time=created,
        update_time=created,
        revocation=None,
        etag="",
        last_used_time=used,
    )


def add_secret(
    made: Key,
    hint: str,
    created: datetime,
    *,
    used: datetime | None = None,
    ends: datetime | None = None,
) -> Key:
    secret = SecretInfo(hint, created, ends, last_used_time=used)
    return replace(made, secrets=(*made.secrets, secret))


def rotated(used: datetime | None, ends: datetime | None = NOW + DAY) -> Key:
    """A key whose second secret is an hour old."""
    made = add_secret(key(), "new", NOW - timedelta(hours=1))
    return add_secret(made, "old", NOW - DAY, used=used, ends=ends)


def row(name: str, **fields: Any) -> KeyRow:
    return replace(key_views.row(key(), NOW), id=f"key_{name}", name=name, **fields)


def named(rows: list[KeyRow]) -> list[str]:
    return [one.name for one in rows]


@pytest.mark.parametrize(
    ("made", "flags"),
    [
        (key(), []),
        (key(expires=None), ["never_expires"]),
        (key(used=NOW - 90 * DAY), ["unused"]),
        (key(used=NOW - 90 * DAY + MICROSECOND), []),
        (key(created=NOW - 90 * DAY), ["unused"]),
        (key(created=NOW - 90 * DAY + MICROSECOND), []),
        (key(created=NOW - 900 * DAY, used=NOW - DAY), []),
        (key(expires=NOW + 14 * DAY), ["expiring"]),
        (key(expires=NOW + 14 * DAY + MICROSECOND), []),
        (key(KeyState.DISABLED, expires=None), ["never_expires"]),
        (key(KeyState.REVOKED, expires=None, created=NOW - 100 * DAY), []),
        (key(KeyState.EXPIRED, expires=NOW - DAY, created=NOW - 100 * DAY), []),
        (key(expires=None, created=NOW - 100 * DAY), ["never_expires", "unused"]),
    ],
)
def test_what_deserves_a_look(made: Key, flags: list[str]) -> None:
    """90 days unused and 14 days to the end count to the moment; what acts no more is left alone."""
    assert key_views.flags(made, NOW) == flags


@pytest.mark.parametrize(
    ("made", "raised"),
    [
        (rotated(used=NOW - timedelta(minutes=5)), True),
        (rotated(used=None), False),
        (rotated(used=NOW - timedelta(hours=2)), False),
        # Uses are noted to the minute: in the minute of the rotation it may have been before it.
        (rotated(used=NOW - timedelta(hours=1, seconds=30)), False),
        (rotated(used=NOW - timedelta(hours=1, seconds=-30)), True),
        (rotated(used=NOW - timedelta(minutes=5), ends=NOW), False),
        (rotated(used=NOW - timedelta(minutes=5), ends=NOW + MICROSECOND), True),
        (rotated(used=NOW - timedelta(minutes=5), ends=None), True),
        (add_secret(key(), "only", NOW - DAY, used=NOW), False),
    ],
)
def test_an_old_secret_in_use(made: Key, raised: bool) -> None:
    """It still works, and was used since there is a newer one."""
    assert ("old_secret" in key_views.flags(made, NOW)) is raised


def test_a_row_has_the_newest_secret_and_where_to_go() -> None:
    """The hint is that of the secret to use now; what was never used has no last use."""
    made = replace(rotated(used=None), creator=Who("person_1", "mina@example.com"))
    shown = key_views.row(made, NOW)
    assert (shown.hint, shown.creator, shown.state) == ("new", "mina@example.com", "active")
    assert shown.last_used_time is None
    assert shown.expire_time == NOW + 60 * DAY
    assert shown.href == "/workspaces/ws_1/keys/key_1"
    assert shown.rotate_href == shown.href + "/rotate"
    assert shown.revoke_href == shown.href + "/revoke"


@pytest.mark.parametrize(
    ("ends", "state"), [(None, "ending"), (NOW + MICROSECOND, "ending"), (NOW, "ended")]
)
def test_secrets_end_when_they_are_said_to(ends: datetime | None, state: str) -> None:
    """The first is current; the one before ends at its moment."""
    shown = key_views.secret_rows(rotated(None, ends), NOW)
    assert [one.state for one in shown] == ["current", state]


def test_no_secret_of_a_revoked_key_works() -> None:
    """All of them have ended, with the key."""
    made = replace(rotated(None), state=KeyState.REVOKED)
    assert {one.state for one in key_views.secret_rows(made, NOW)} == {"ended"}


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["a", "B", "c"]),
        ("-name", ["c", "B", "a"]),
        ("created", ["c", "B", "a"]),
        ("-created", ["a", "B", "c"]),
        ("nonsense", ["a", "B", "c"]),
        ("", ["a", "B", "c"]),
        # Never used is longer ago than anything, and never is later than any day.
        ("used", ["B", "c", "a"]),
        ("-used", ["a", "c", "B"]),
        ("expires", ["c", "a", "B"]),
        ("-expires", ["B", "a", "c"]),
    ],
)
def test_order(sort: str, order: list[str]) -> None:
    """By each column, both ways; what is no column is the newest first."""
    rows = [
        row("B", create_time=NOW - 2 * DAY, last_used_time=None, expire_time=None),
        row("c", create_time=NOW - 3 * DAY, last_used_time=NOW - DAY, expire_time=NOW + DAY),
        row("a", create_time=NOW - DAY, last_used_time=NOW, expire_time=NOW + 2 * DAY),
    ]
    assert named(key_views.ordered(rows, sort)) == order


@pytest.mark.parametrize(
    ("text", "state", "flag", "found"),
    [
        ("", "", "", ["Alpha", "beta", "Straße"]),
        ("", "all", "", ["Alpha", "beta", "Straße", "gone"]),
        ("", "revoked", "", ["gone"]),
        ("", "paused", "", ["beta"]),
        ("ALPHA", "", "", ["Alpha"]),
        ("STRASSE", "", "", ["Straße"]),
        ("key_bet", "", "", ["beta"]),
        ("ab12", "", "", ["Alpha"]),
        ("mina@", "", "", ["beta"]),
        ("gone", "", "", []),
        ("gone", "all", "", ["gone"]),
        ("", "", "unused", ["beta"]),
        ("a", "paused", "unused", ["beta"]),
        ("q", "paused", "unused", []),
    ],
)
def test_search(text: str, state: str, flag: str, found: list[str]) -> None:
    """In name, hint, creator and id, whatever the case; revoked ones only where they are asked for."""
    rows = [
        row("Alpha", hint="sk-optk-AB12…wxyz"),
        row("beta", creator="mina@example.com", state="paused", flags=["unused"]),
        row("Straße", state="expired"),
        row("gone", state="revoked"),
    ]
    assert named(key_views.chosen(rows, text, state, flag)) == found


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("key_0aZ", True), ("key_", False), ("key_a b", False), ("ws_1", False), ("key_é", False)],
)
def test_ids_of_keys(text: str, is_one: bool) -> None:
    """Letters and digits behind their prefix, and nothing else."""
    assert key_views.is_key_id(text) is is_one
