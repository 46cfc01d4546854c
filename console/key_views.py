"""A workspace's keys as its pages show them: rows, warnings, search and order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from console.paths import url
from keyauthority.client.admin import Key, KeySettings, KeyState, Revocation

UNUSED: Final = timedelta(days=90)
EXPIRING: Final = timedelta(days=14)

STATES: Final = {
    KeyState.ACTIVE: "active",
    KeyState.DISABLED: "paused",
    KeyState.EXPIRED: "expired",
    KeyState.REVOKED: "revoked",
}

EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Stands for a time that is not known."""

_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A key in a list.

    `state` is one of `words.STATES`, or `unknown`; `flags` are warnings: `never_expires`, `unused`,
    `expiring`, `old_secret`.
    """

    id: str
    name: str
    hint: str
    creator: str
    create_time: datetime
    last_used_time: datetime | None
    expire_time: datetime | None
    # Nano-credits in the last 30 days; None: not known.
    spent: int | None
    state: str
    flags: Sequence[str]
    href: str
    rotate_href: str
    revoke_href: str


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One secret of a key; `state` is `current`, `ending` or `ended`."""

    hint: str
    create_time: datetime
    end_time: datetime | None
    last_used_time: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class KeyDetails(KeyRow):
    """A key on its own page; `replace_href` is the form for another key like it.

    `entries_href` are the entries of its requests.
    """

    settings: KeySettings
    secrets: Sequence[SecretRow]
    revocation: Revocation | None
    activity_href: str
    replace_href: str
    entries_href: str


# A key that was never used stands before all that were, and one that never expires after all others.
_ORDER: Final[dict[str, Callable[[KeyRow], Any]]] = {
    "name": lambda row: row.name.casefold(),
    "created": lambda row: row.create_time,
    "used": lambda row: row.last_used_time or _EARLIEST,
    "expires": lambda row: row.expire_time or _LATEST,
    "spent": lambda row: row.spent or 0,
}

_is_id: Final = re.compile(r"key_[0-9A-Za-z]{1,64}", re.ASCII).fullmatch


def is_key_id(text: str) -> bool:
    """Returns whether *text* is built like the id of a key."""
    return _is_id(text) is not None


def row(key: Key, now: datetime, spent: Mapping[str, int] | None = None) -> KeyRow:
    """Returns a key as a row of a list; *spent* is what each key spent, if that is known."""
    return KeyRow(**_row(key, now, spent))


def last_known(workspace_id: str, key_id: str, name: str, now: datetime) -> KeyRow:
    """Returns a key of which only the name is known, while the authority is away."""
    key = Key(
        id=key_id,
        workspace_id=workspace_id,
        settings=KeySettings(name),
        state=None,
        secrets=(),
        create_time=EPOCH,
        update_time=EPOCH,
        revocation=None,
        etag="",
        last_used_time=None,
    )
    return row(key, now)


def details(key: Key, now: datetime, spent: Mapping[str, int] | None = None) -> KeyDetails:
    """Returns a key as its own page shows it; *spent* is what each key spent, if that is known."""
    entries = url("entries", workspace=key.workspace_id)
    return KeyDetails(
        **_row(key, now, spent),
        settings=key.settings,
        secrets=secret_rows(key, now),
        revocation=key.revocation,
        activity_href=f"{url('activity', workspace=key.workspace_id)}?subject={key.id}",
        replace_href=_replace_href(key),
        entries_href=f"{entries}?{urlencode({'kind': 'charge', 'key': key.id})}",
    )


def flags(key: Key, now: datetime) -> list[str]:
    """Returns the warnings about a key that works, or could again."""
    if key.state in (KeyState.REVOKED, KeyState.EXPIRED):
        return []
    end = key.settings.expire_time
    warnings = {
        "never_expires": end is None,
        "unused": (key.last_used_time or key.create_time) <= now - UNUSED,
        "expiring": end is not None and end <= now + EXPIRING,
        "old_secret": _old_secret_in_use(key, now),
    }
    return [flag for flag, raised in warnings.items() if raised]


def secret_rows(key: Key, now: datetime) -> list[SecretRow]:
    """Returns a key's secrets, newest first."""
    rows = []
    for number, secret in enumerate(key.secrets):
        end = secret.end_time
        ended = key.state is KeyState.REVOKED or (end is not None and end <= now)
        state = "ended" if ended else "current" if number == 0 else "ending"
        rows.append(SecretRow(secret.hint, secret.create_time, end, secret.last_used_time, state))
    return rows


def chosen(rows: Sequence[KeyRow], text: str, state: str, flag: str) -> list[KeyRow]:
    """Returns the rows with *text* in name, hint, creator or id, in *state*; empty: not revoked."""
    folded = text.casefold()
    return [
        row
        for row in rows
        if (state in ("all", row.state) or (not state and row.state != "revoked"))
        and (not flag or flag in row.flags)
        and any(folded in part.casefold() for part in (row.name, row.hint, row.creator, row.id))
    ]


def ordered(rows: Sequence[KeyRow], sort: str) -> list[KeyRow]:
    """Returns the rows by a column, descending with `-` before it; newest first by default."""
    column, descending = sort.removeprefix("-"), sort.startswith("-")
    if column not in _ORDER:
        column, descending = "created", True
    return sorted(rows, key=_ORDER[column], reverse=descending)


def is_order(sort: str) -> bool:
    """Returns whether *sort* names a column."""
    return sort.removeprefix("-") in _ORDER


def _row(key: Key, now: datetime, spent: Mapping[str, int] | None) -> dict[str, Any]:
    place = {"workspace": key.workspace_id, "key": key.id}
    return {
        "id": key.id,
        "name": key.settings.name,
        "hint": key.secrets[0].hint if key.secrets else "",
        "creator": key.creator.name,
        "create_time": key.create_time,
        "last_used_time": key.last_used_time,
        "expire_time": key.settings.expire_time,
        "spent": None if spent is None else spent.get(key.id, 0),
        "state": "unknown" if key.state is None else STATES[key.state],
        "flags": flags(key, now),
        "href": url("key", **place),
        "rotate_href": url("key_rotate", **place),
        "revoke_href": url("key_revoke", **place),
    }


def _replace_href(key: Key) -> str:
    # With the same scopes: a key without scopes may do more.
    query = {"name": key.settings.name, "scopes": " ".join(key.settings.scopes)}
    path = url("key_new", workspace=key.workspace_id)
    return f"{path}?{urlencode({name: value for name, value in query.items() if value})}"


def _old_secret_in_use(key: Key, now: datetime) -> bool:
    # Whether the replaced secret was used after the newer one was made.
    if len(key.secrets) < 2:  # noqa: PLR2004
        return False
    newest, old = key.secrets[0], key.secrets[1]
    end, used = old.end_time, old.last_used_time
    live = end is None or end > now
    # Uses are noted to the minute, rounded down.
    since = newest.create_time.replace(second=0, microsecond=0)
    return live and used is not None and used > since
