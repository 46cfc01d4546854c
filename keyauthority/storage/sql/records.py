"""Records to rows and back. The columns of a select come in the order of the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement

from keyauthority.domain.callers import Caller
from keyauthority.domain.keys import KEY_SETTINGS, Key, KeySettings, Revocation, StoredSecret, Who
from keyauthority.storage import tables

# The last four, which no verdict asks for: who created a key, and who revoked it.
PEOPLE: Final = tuple(tables.keys.c)[-4:]
KEY: Final = tuple(tables.keys.c)[:-4]
SECRET: Final[tuple[ColumnElement[Any], ...]] = (
    tables.secrets.c.digest,
    tables.secrets.c.pepper_version,
    tables.secrets.c.hint,
    tables.secrets.c.create_time,
    tables.secrets.c.end_time,
    tables.secrets.c.seal,
)
# Who was shown it, which no verdict asks for either.
SECRET_CREATOR: Final = (tables.secrets.c.creator_id, tables.secrets.c.creator_name)


def key(
    row: Sequence[Any], secrets: Sequence[StoredSecret], people: Sequence[str] = ("", "", "", "")
) -> Key:
    """The key of a row of `KEY`, with its *secrets* and, of a row of `PEOPLE`, these."""
    revoke_time, reason, note, version = row[-4:]
    by = Who(*people[2:])
    revocation = None if revoke_time is None else Revocation(revoke_time, reason, note, by)
    key_id, workspace_id, name, scopes, labels, disabled, expire_time, *times = row[:-4]
    settings = KeySettings(name, disabled, expire_time, scopes, labels)
    return Key(
        *(key_id, workspace_id, settings, *times, revocation, version, tuple(secrets), *people[:2])
    )


def secret(row: Sequence[Any]) -> StoredSecret:
    """The secret of a row of `SECRET` and `SECRET_CREATOR`."""
    digest, pepper, hint, create_time, end_time, seal, *creator = row
    return StoredSecret(digest, pepper, hint, create_time, end_time, seal, Who(*creator))


def new_key_row(key: Key) -> dict[str, Any]:
    """The row of a key's own record when it is new."""
    return {**key_row(key), "creator_id": key.creator_id, "creator_name": key.creator_name}


def key_row(key: Key) -> dict[str, Any]:
    """What of a key's own record may change, and its id."""
    revocation = key.revocation
    return {
        "id": key.id,
        "workspace_id": key.workspace_id,
        **{name: getattr(key.settings, name) for name in KEY_SETTINGS},
        "create_time": key.create_time,
        "update_time": key.update_time,
        "revoke_time": revocation and revocation.time,
        "revoke_reason": revocation and revocation.reason,
        "revoke_note": revocation and revocation.note,
        "revoker_id": revocation.by.id if revocation else "",
        "revoker_name": revocation.by.name if revocation else "",
        "version": key.version,
    }


def secret_row(key_id: str, secret: StoredSecret) -> dict[str, Any]:
    """The row of one secret of a key."""
    return {
        "key_id": key_id,
        "digest": secret.digest,
        "pepper_version": secret.pepper_version,
        "hint": secret.hint,
        "create_time": secret.create_time,
        "end_time": secret.end_time,
        "seal": secret.seal,
        "creator_id": secret.creator.id,
        "creator_name": secret.creator.name,
    }


def caller_row(caller: Caller) -> dict[str, Any]:
    """The row of a caller."""
    return {column.name: getattr(caller, column.name) for column in tables.callers.c}
