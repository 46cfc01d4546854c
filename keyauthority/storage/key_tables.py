"""The tables of keys and their secrets, and the records of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    UniqueConstraint,
    text,
)

from keyauthority.base.relational.columns import (
    Moment,
    Number,
    Numbered,
    PlainText,
    TextMap,
    Texts,
)
from keyauthority.domain.keys import (
    KEY_SETTINGS,
    UNKNOWN,
    Key,
    KeySettings,
    Revocation,
    RevocationReason,
    StoredSecret,
    Who,
)
from keyauthority.storage.tables import metadata

keys: Final = Table(
    "keys",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("workspace_id", PlainText, ForeignKey("workspaces.id"), nullable=False),
    Column("name", PlainText, nullable=False),
    Column("scopes", Texts, nullable=False),
    Column("labels", TextMap, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("expire_time", Moment),
    Column("create_time", Moment, nullable=False),
    Column("update_time", Moment, nullable=False),
    Column("revoke_time", Moment),
    Column("revoke_reason", Numbered(RevocationReason)),
    Column("revoke_note", PlainText),
    Column("version", BigInteger, nullable=False),
    Column("creator_id", PlainText, nullable=False, server_default=text("''")),
    Column("creator_name", PlainText, nullable=False, server_default=text("''")),
    Column("revoker_id", PlainText, nullable=False, server_default=text("''")),
    Column("revoker_name", PlainText, nullable=False, server_default=text("''")),
    Index(None, "workspace_id", "create_time", "id"),
    Index(None, "create_time", "id"),
    Index(None, "creator_id", "create_time", "id"),
)

# Numbered in the order in which they were minted; two may bear the same time.
secrets: Final = Table(
    "secrets",
    metadata,
    Column("id", Number, primary_key=True),
    Column("key_id", PlainText, ForeignKey("keys.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("pepper_version", Integer, nullable=False),
    Column("hint", PlainText, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("end_time", Moment),
    Column("seal", LargeBinary),
    Column("creator_id", PlainText, nullable=False, server_default=text("''")),
    Column("creator_name", PlainText, nullable=False, server_default=text("''")),
    UniqueConstraint("key_id", "digest"),
    Index(None, "creator_id", "key_id"),
)

# Secrets minted elsewhere, found by their digest alone; each has its row in `secrets` too.
imports: Final = Table(
    "imports",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("key_id", PlainText, ForeignKey("keys.id"), nullable=False),
)

# Never part of the records: written late, in batches, and without influence on a verdict.
last_used: Final = Table(
    "last_used",
    metadata,
    Column("key_id", PlainText, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("time", Moment, nullable=False),
)

PEOPLE: Final = (keys.c.creator_id, keys.c.creator_name, keys.c.revoker_id, keys.c.revoker_name)
"""Who created a key, and who revoked it: verdicts do not need these columns."""

KEY: Final = tuple(column for column in keys.c if column not in set(PEOPLE))

SECRET: Final = tuple(
    secrets.c[name].label(f"secret_{name}")
    for name in ("digest", "pepper_version", "hint", "create_time", "end_time", "seal")
)
SECRET_CREATOR: Final = tuple(
    secrets.c[name].label(f"secret_{name}") for name in ("creator_id", "creator_name")
)
"""Who minted a secret: verdicts do not need these columns either."""


def key(
    row: Any, secrets: Sequence[StoredSecret], creator: Who = UNKNOWN, revoker: Who = UNKNOWN
) -> Key:
    """Returns the key of a row with `KEY`, and its *secrets*."""
    revocation = None
    if row.revoke_time is not None:
        revocation = Revocation(
            time=row.revoke_time, reason=row.revoke_reason, note=row.revoke_note, by=revoker
        )
    return Key(
        id=row.id,
        workspace_id=row.workspace_id,
        settings=KeySettings(
            name=row.name,
            disabled=row.disabled,
            expire_time=row.expire_time,
            scopes=row.scopes,
            labels=row.labels,
        ),
        create_time=row.create_time,
        update_time=row.update_time,
        revocation=revocation,
        version=row.version,
        secrets=tuple(secrets),
        creator=creator,
    )


def key_with_people(row: Any, secrets: Sequence[StoredSecret]) -> Key:
    """Returns the key of a row with `KEY` and `PEOPLE`, and its *secrets*."""
    creator = Who(row.creator_id, row.creator_name)
    return key(row, secrets, creator, Who(row.revoker_id, row.revoker_name))


def secret(row: Any, creator: Who = UNKNOWN) -> StoredSecret:
    """Returns the secret of a row with `SECRET`."""
    return StoredSecret(
        digest=row.secret_digest,
        pepper_version=row.secret_pepper_version,
        hint=row.secret_hint,
        create_time=row.secret_create_time,
        end_time=row.secret_end_time,
        seal=row.secret_seal,
        creator=creator,
    )


def secret_with_creator(row: Any) -> StoredSecret:
    """Returns the secret of a row with `SECRET` and `SECRET_CREATOR`."""
    return secret(row, Who(row.secret_creator_id, row.secret_creator_name))


def new_key_row(key: Key) -> dict[str, Any]:
    """Returns the row of a new key."""
    return {**key_row(key), "creator_id": key.creator.id, "creator_name": key.creator.name}


def key_row(key: Key) -> dict[str, Any]:
    """Returns the columns of a key that may change, and its id."""
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
    """Returns the row of one secret of a key."""
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
