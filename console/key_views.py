"""A workspace's keys as its pages show them: rows, what deserves a look, search, order and pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from console.paths import url
from console.views import KeyDetails, KeyRow, Revocation, SecretRow
from keyauthority.client.admin import Key, KeySettings, KeyState, RevocationReason

UNUSED: Final = timedelta(days=90)
EXPIRING: Final = timedelta(days=14)
PAGE: Final = 25

STATES: Final = {
    KeyState.ACTIVE: "active",
    KeyState.DISABLED: "paused",
    KeyState.EXPIRED: "expired",
    KeyState.REVOKED: "revoked",
}
REASONS: Final = {
    RevocationReason.COMPROMISED: "compromised",
    RevocationReason.SUPERSEDED: "superseded",
    RevocationReason.UNUSED: "unused",
    RevocationReason.OWNER_LEFT: "owner_left",
    RevocationReason.POLICY: "policy",
}
"""Why a key was revoked, as the pages name it."""

EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""The time of what has none that is known."""

_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)

# What a column is sorted by. A key that was never used stands before all that were, and one that
# never expires after all that do.
_ORDER: Final[dict[str, Callable[[KeyRow], Any]]] = {
    "name": lambda row: row.name.casefold(),
    "created": lambda row: row.create_time,
    "used": lambda row: row.last_used_time or _EARLIEST,
    "expires": lambda row: row.expire_time or _LATEST,
}


_is_id: Final = re.compile(r"key_[0-9A-Za-z]{1,64}", re.ASCII).fullmatch


def is_key_id(text: str) -> bool:
    """Whether *text* is built like the id of a key."""
    return _is_id(text) is not None


def row(key: Key, now: datetime) -> KeyRow:
    """A key as a row of the list."""
    return KeyRow(**_row(key, now))


def last_known(workspace_id: str, key_id: str, name: str, now: datetime) -> KeyRow:
    """A key of which only the name is at hand, while the authority is away."""
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


def details(key: Key, now: datetime) -> KeyDetails:
    """A key with all there is to tell of it."""
    return KeyDetails(
        **_row(key, now),
        settings=key.settings,
        secrets=secret_rows(key, now),
        revocation=_revocation(key),
    )


def _revocation(key: Key) -> Revocation | None:
    revocation = key.revocation
    if revocation is None:
        return None
    who = revocation.by.name or revocation.by.id
    return Revocation(REASONS.get(revocation.reason, ""), revocation.note, revocation.time, who)


def flags(key: Key, now: datetime) -> list[str]:
    """Why a key that acts, or could again, deserves a look."""
    if key.state in (KeyState.REVOKED, KeyState.EXPIRED):
        return []
    end = key.settings.expire_time
    raised = {
        "never_expires": end is None,
        "unused": (key.last_used_time or key.create_time) <= now - UNUSED,
        "expiring": end is not None and end <= now + EXPIRING,
        "old_secret": _old_secret_in_use(key, now),
    }
    return [flag for flag, is_raised in raised.items() if is_raised]


def secret_rows(key: Key, now: datetime) -> list[SecretRow]:
    """A key's secrets, newest first."""
    rows = []
    for number, secret in enumerate(key.secrets):
        end = secret.end_time
        ended = key.state is KeyState.REVOKED or (end is not None and end <= now)
        state = "ended" if ended else "current" if number == 0 else "ending"
        rows.append(
            SecretRow(
                hint=secret.hint,
                create_time=secret.create_time,
                end_time=end,
                last_used_time=secret.last_used_time,
                state=state,
            )
        )
    return rows


def chosen(rows: Sequence[KeyRow], text: str, state: str, flag: str) -> list[KeyRow]:
    """The rows that match: *text* in name, hint, creator or id; *state* "" is all but revoked."""
    wanted = text.casefold()
    return [
        one
        for one in rows
        if (state in ("all", one.state) or (not state and one.state != "revoked"))
        and (not flag or flag in one.flags)
        and (not wanted or any(wanted in part.casefold() for part in _searched(one)))
    ]


def ordered(rows: Sequence[KeyRow], sort: str) -> list[KeyRow]:
    """The rows by a column, descending with `-` before its name; newest first by default."""
    column, down = sort.removeprefix("-"), sort.startswith("-")
    if column not in _ORDER:
        column, down = "created", True
    return sorted(rows, key=_ORDER[column], reverse=down)


def is_order(sort: str) -> bool:
    """Whether *sort* names a column."""
    return sort.removeprefix("-") in _ORDER


def _row(key: Key, now: datetime) -> dict[str, Any]:
    place = {"workspace": key.workspace_id, "key": key.id}
    return {
        "id": key.id,
        "name": key.settings.name,
        "hint": key.secrets[0].hint if key.secrets else "",
        "creator": key.creator.name,
        "create_time": key.create_time,
        "last_used_time": key.last_used_time,
        "expire_time": key.settings.expire_time,
        "state": "unknown" if key.state is None else STATES[key.state],
        "flags": flags(key, now),
        "href": url("key", **place),
        "rotate_href": url("key_rotate", **place),
        "revoke_href": url("key_revoke", **place),
    }


def _searched(one: KeyRow) -> tuple[str, ...]:
    return (one.name, one.hint, one.creator, one.id)


def _old_secret_in_use(key: Key, now: datetime) -> bool:
    # A secret that was to be replaced, and has been used since there is a newer one.
    if len(key.secrets) < 2:  # noqa: PLR2004
        return False
    newest, old = key.secrets[0], key.secrets[1]
    end, used = old.end_time, old.last_used_time
    live = end is None or end > now
    # Uses are noted to the minute, rounded down.
    since = newest.create_time.replace(second=0, microsecond=0)
    return live and used is not None and used > since
