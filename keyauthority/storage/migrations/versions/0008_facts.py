"""What happened, beside the method; who revoked a key, and who was shown which secret."""

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
# Older versions go on writing rows without what this adds: such an entry is read by its method, and of
# such a key or secret nobody is known.
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
TOLD = (
    sa.update(AUDIT)
    .where(AUDIT.c.id == sa.bindparam("entry"))
    .values(
        fact=sa.bindparam("said"),
        details=sa.bindparam("now"),
        caller_id=sa.bindparam("who"),
        caller_name=sa.bindparam("called"),
    )
)
REVOKED = (
    sa.update(KEYS)
    .where(KEYS.c.id == sa.bindparam("key"), KEYS.c.revoke_time == sa.bindparam("at"))
    .values(revoker_id=sa.bindparam("who"), revoker_name=sa.bindparam("called"))
)
SHOWN = (
    sa.update(SECRETS)
    .where(SECRETS.c.key_id == sa.bindparam("key"), SECRETS.c.create_time == sa.bindparam("at"))
    .values(creator_id=sa.bindparam("who"), creator_name=sa.bindparam("called"))
)


def upgrade() -> None:
    """Adds columns with defaults, and fills them by what the audit tells.

    A rotation and its secret, a revocation and its key, bear the time of their transaction.
    """
    op.add_column("audit", sa.Column("fact", sa.Integer))
    for table, prefix in (("keys", "revoker"), ("secrets", "creator")):
        for column in (f"{prefix}_id", f"{prefix}_name"):
            op.add_column(table, sa.Column(column, STRING, nullable=False, server_default=""))
    op.create_index("secrets_creator_id_key_id_idx", "secrets", BY_SECRETS)
    connection = op.get_bind()
    for rows in _entries(connection):
        facts = [_fact(row) for row in rows]
        connection.execute(TOLD, [_told(*pair) for pair in zip(rows, facts, strict=True)])
        for statement, action in ((REVOKED, Action.KEY_REVOKED), (SHOWN, Action.KEY_ROTATED)):
            pairs = zip(rows, facts, strict=True)
            done = [_doer(row) for row, fact in pairs if fact.action is action]
            if done:
                connection.execute(statement, done)


def _entries(connection: sa.Connection) -> Iterator[Sequence[Any]]:
    last = 0
    query = sa.select(AUDIT).where(AUDIT.c.id > sa.bindparam("last")).order_by(AUDIT.c.id)
    while rows := connection.execute(query.limit(AT_ONCE), {"last": last}).all():
        yield rows
        last = rows[-1].id


def _fact(row: Any) -> Fact:
    return earlier.fact(row.action, row.subject, json.loads(row.details), refused=row.refused)


def _told(row: Any, fact: Fact) -> dict[str, Any]:
    # What nobody had called for had no name: it was done at the machine.
    who = (
        (row.caller_id, row.caller_name)
        if row.caller_id
        else ("operator", "operator at the machine")
    )
    details = json.dumps(dict(fact.details))
    return {
        "entry": row.id,
        "said": fact.action.value,
        "now": details,
        "who": who[0],
        "called": who[1],
    }


def _doer(row: Any) -> dict[str, Any]:
    person = row.person_id, row.person_name
    who, called = person if row.person_id else (row.caller_id, row.caller_name)
    return {"key": row.subject, "at": row.time, "who": who, "called": called}
