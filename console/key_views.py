"""A workspace's keys as its pages show them: rows, what deserves a look, search, order and pages."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from console.paths import url
from console.views import KeyDetails, KeyRow, Revocation, SecretRow
from keyauthority.v1 import key_pb2

UNUSED: Final = timedelta(days=90)
EXPIRING: Final = timedelta(days=14)
PAGE: Final = 25

STATES: Final = {
    key_pb2.KEY_STATE_ACTIVE: "active",
    key_pb2.KEY_STATE_DISABLED: "paused",
    key_pb2.KEY_STATE_EXPIRED: "expired",
    key_pb2.KEY_STATE_REVOKED: "revoked",
}
REASONS: Final = {
    key_pb2.REVOCATION_REASON_COMPROMISED: "compromised",
    key_pb2.REVOCATION_REASON_SUPERSEDED: "superseded",
    key_pb2.REVOCATION_REASON_UNUSED: "unused",
    key_pb2.REVOCATION_REASON_OWNER_LEFT: "owner_left",
    key_pb2.REVOCATION_REASON_POLICY: "policy",
}
"""Why a key was revoked, as the pages name it."""

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


def moment(message: Any, field: str) -> datetime | None:
    """A timestamp of *message*; None if it isn't set."""
    if not message.HasField(field):
        return None
    stamp: Timestamp = getattr(message, field)
    return stamp.ToDatetime(tzinfo=UTC)


def row(key: key_pb2.Key, now: datetime) -> KeyRow:
    """A key as a row of the list."""
    return KeyRow(**_row(key, now))


def details(key: key_pb2.Key, now: datetime) -> KeyDetails:
    """A key with all there is to tell of it."""
    return KeyDetails(
        **_row(key, now),
        scopes=tuple(key.scopes),
        labels=dict(sorted(key.labels.items())),
        secrets=secret_rows(key, now),
        revocation=_revocation(key),
    )


def _revocation(key: key_pb2.Key) -> Revocation | None:
    time = moment(key, "revoke_time")
    if time is None:
        return None
    reason = REASONS.get(key.revocation_reason, "")
    return Revocation(reason, key.revocation_note, time, key.revoker_name or key.revoker_id)


def flags(key: key_pb2.Key, now: datetime) -> list[str]:
    """Why a key that acts, or could again, deserves a look."""
    if key.state in (key_pb2.KEY_STATE_REVOKED, key_pb2.KEY_STATE_EXPIRED):
        return []
    expire_time, used = moment(key, "expire_time"), moment(key, "last_used_time")
    created = key.create_time.ToDatetime(tzinfo=UTC)
    found = {
        "never_expires": expire_time is None,
        "unused": (used or created) <= now - UNUSED,
        "expiring": expire_time is not None and expire_time <= now + EXPIRING,
        "old_secret": _old_secret_in_use(key, now),
    }
    return [flag for flag, raised in found.items() if raised]


def secret_rows(key: key_pb2.Key, now: datetime) -> list[SecretRow]:
    """A key's secrets, newest first."""
    rows = []
    for number, secret in enumerate(key.secrets):
        end_time = moment(secret, "end_time")
        ended = key.state == key_pb2.KEY_STATE_REVOKED or (end_time is not None and end_time <= now)
        state = "ended" if ended else "current" if number == 0 else "ending"
        rows.append(
            SecretRow(
                hint=secret.hint,
                create_time=secret.create_time.ToDatetime(tzinfo=UTC),
                end_time=end_time,
                last_used_time=moment(secret, "last_used_time"),
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


def _row(key: key_pb2.Key, now: datetime) -> dict[str, Any]:
    place = {"workspace": key.workspace_id, "key": key.id}
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.secrets[0].hint if key.secrets else "",
        "creator": key.creator_name,
        "create_time": key.create_time.ToDatetime(tzinfo=UTC),
        "last_used_time": moment(key, "last_used_time"),
        "expire_time": moment(key, "expire_time"),
        "state": STATES.get(key.state, "unknown"),
        "flags": flags(key, now),
        "href": url("key", **place),
        "rotate_href": url("key_rotate", **place),
        "revoke_href": url("key_revoke", **place),
    }


def _searched(one: KeyRow) -> tuple[str, ...]:
    return (one.name, one.hint, one.creator, one.id)


def _old_secret_in_use(key: key_pb2.Key, now: datetime) -> bool:
    # A secret that was to be replaced, and has been used since there is a newer one.
    if len(key.secrets) < 2:  # noqa: PLR2004
        return False
    newest, old = key.secrets[0], key.secrets[1]
    end_time, used = moment(old, "end_time"), moment(old, "last_used_time")
    live = end_time is None or end_time > now
    # Uses are noted to the minute, rounded down.
    since = newest.create_time.ToDatetime(tzinfo=UTC).replace(second=0, microsecond=0)
    return live and used is not None and used > since
