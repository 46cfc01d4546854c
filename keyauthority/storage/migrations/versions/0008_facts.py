"""The action of each audit entry, who revoked a key, and who minted a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from keyauthority.domain import earlier
from keyauthority.domain.facts import Action, Fact

revision = "0008"
down_revision = "0007"
# Older versions go on writing rows without these columns: such an entry is read by its method, and
# such a key or secret has no known revoker or creator.
usable_from = "0007"

AT_ONCE = 5_000
STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BY_SECRETS = ["creator_id", "key_id"]

AUDIT = sa.table(
    "audit",
    *map(sa.column, ("id", "time", "caller_id", "caller_name", "person_id", "person_name")),
    *map(sa.column, ("action", "subject", "refused", "details", "fact")),
)
KEYS = sa.table("keys", *map(sa.column, ("id", "revoke_time", "revoker_id", "revoker_name")))
SECRETS = sa.table(
    "secrets", *map(sa.column, ("key_id", "create_time", "creator_id", "creator_name"))
)
UPDATE_ENTRY = (
    sa.update(AUDIT)
    .where(AUDIT.c.id == sa.bindparam("entry"))
    .values(
        fact=sa.bindparam("action_number"),
        details=sa.bindparam("new_details"),
        caller_id=sa.bindparam("who_id"),
        caller_name=sa.bindparam("who_name"),
    )
)
UPDATE_KEY = (
    sa.update(KEYS)
    .where(KEYS.c.id == sa.bindparam("key"), KEYS.c.revoke_time == sa.bindparam("at"))
    .values(revoker_id=sa.bindparam("who_id"), revoker_name=sa.bindparam("who_name"))
)
UPDATE_SECRET = (
    sa.update(SECRETS)
    .where(SECRETS.c.key_id == sa.bindparam("key"), SECRETS.c.create_time == sa.bindparam("at"))
    .values(creator_id=sa.bindparam("who_id"), creator_name=sa.bindparam("who_name"))
)


def upgrade() -> None:
    """Adds columns with defaults, and fills them from the audit entries.

    The entry of a rotation has the time of its secret, that of a revocation the time of its key.
    """
    op.add_column("audit", sa.Column("fact", sa.Integer))
    for table, prefix in (("keys", "revoker"), ("secrets", "creator")):
        for column in (f"{prefix}_id", f"{prefix}_name"):
            op.add_column(table, sa.Column(column, STRING, nullable=False, server_default=""))
    op.create_index("secrets_creator_id_key_id_idx", "secrets", BY_SECRETS)
    connection = op.get_bind()
    for rows in _entries(connection):
        facts = [(row, _fact(row)) for row in rows]
        connection.execute(UPDATE_ENTRY, [_entry(row, fact) for row, fact in facts])
        for statement, action in (
            (UPDATE_KEY, Action.KEY_REVOKED),
            (UPDATE_SECRET, Action.KEY_ROTATED),
        ):
            updates = [_who(row) for row, fact in facts if fact.action is action]
            if updates:
                connection.execute(statement, updates)


def _entries(connection: sa.Connection) -> Iterator[Sequence[Any]]:
    last = 0
    query = sa.select(AUDIT).where(AUDIT.c.id > sa.bindparam("last")).order_by(AUDIT.c.id)
    while rows := connection.execute(query.limit(AT_ONCE), {"last": last}).all():
        yield rows
        last = rows[-1].id


def _fact(row: Any) -> Fact:
    return earlier.fact(row.action, row.subject, json.loads(row.details), refused=row.refused)


def _entry(row: Any, fact: Fact) -> dict[str, Any]:
    # An entry without a caller is of a command at the machine.
    who = row.caller_id, row.caller_name
    who_id, who_name = who if row.caller_id else ("operator", "operator at the machine")
    return {
        "entry": row.id,
        "action_number": fact.action.value,
        "new_details": json.dumps(dict(fact.details)),
        "who_id": who_id,
        "who_name": who_name,
    }


def _who(row: Any) -> dict[str, Any]:
    person = row.person_id, row.person_name
    who_id, who_name = person if row.person_id else (row.caller_id, row.caller_name)
    return {"key": row.subject, "at": row.time, "who_id": who_id, "who_name": who_name}
