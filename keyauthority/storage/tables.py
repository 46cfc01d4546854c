"""The tables but for those of keys (`key_tables`), the same in every database.

`migrations` creates them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    Table,
    TypeDecorator,
    and_,
    false,
    text,
)

from keyauthority.base.relational.columns import (
    Moment,
    Number,
    Numbered,
    PlainText,
    TextMap,
    Texts,
    compatibility_in,
    new_metadata,
)
from keyauthority.domain.callers import Role
from keyauthority.domain.facts import Action
from keyauthority.domain.peppers import PepperState

metadata: Final = new_metadata()
compatibility: Final = compatibility_in(metadata)


class RoleSet(TypeDecorator[frozenset[Role]]):
    """Some roles, one bit each, so that SQL can select by one."""

    impl = Integer
    cache_ok = True

    @staticmethod
    def bit(role: Role) -> int:
        """Returns the bit of *role*."""
        return 1 << (int(role.value) - 1)

    def process_bind_param(self, value: frozenset[Role] | None, _dialect: Dialect) -> int:
        return sum(map(self.bit, value or ()))

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> frozenset[Role]:
        return frozenset(role for role in Role if self.bit(role) & (value or 0))


class Happened(TypeDecorator[Action]):
    """An action, by its number. An action that only a newer version knows is `OTHER`."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: Action | None, _dialect: Dialect) -> int | None:
        return None if value is None else value.value

    def process_result_value(self, value: Any | None, _dialect: Dialect) -> Action | None:
        return None if value is None else _ACTIONS.get(value, Action.OTHER)


_ACTIONS: Final = {action.value: action for action in Action}

head: Final = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    CheckConstraint("id = 1", "one_row"),
)

change: Final = Table(
    "change",
    metadata,
    Column("revision", Number, primary_key=True, autoincrement=False),
    Column("subject", PlainText, nullable=False),
)

# The terms of leases; lengths in milliseconds. `clean_stop` says that no lease outlived the process
# that last had the (SQLite) database.
terms: Final = Table(
    "terms",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("lease", BigInteger, nullable=False),
    Column("longest_lease", BigInteger, nullable=False),
    Column("settling", Boolean, nullable=False),
    Column("foreign_secrets", Boolean, nullable=False),
    Column("clean_stop", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("id = 1", "one_row"),
)

# For several processes that share the database; the one process of a SQLite file has its sessions
# in memory. `lease` and `in_force`, in milliseconds, and `number` are the allowance. They count only
# where `allowed_beat` equals the beat: a process of an older version, which knows no allowances,
# moves the beat alone.
sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("caller_id", PlainText, nullable=False),
    Column("name", PlainText, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("sync_time", Moment, nullable=False),
    Column("lease", BigInteger),
    Column("in_force", BigInteger),
    Column("number", BigInteger, nullable=False, server_default=text("0")),
    Column("allowed_beat", BigInteger, nullable=False, server_default=text("0")),
    Column("late", BigInteger, nullable=False, server_default=text("0")),
    Index(None, "caller_id"),
)

# One row for each connection to PostgreSQL: the number of its last committed change. If a connection
# breaks before a commit is answered, the row tells whether the change was committed.
commits: Final = Table(
    "commits",
    metadata,
    Column("connection", PlainText, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time", Moment, nullable=False),
)

workspaces: Final = Table(
    "workspaces",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("update_time", Moment, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index(None, "create_time", "id"),
)

callers: Final = Table(
    "callers",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("name", PlainText, nullable=False),
    Column("roles", RoleSet, nullable=False),
    Column("workspace_ids", Texts, nullable=False),
    Column("certificate_name", PlainText, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("pepper_version", Integer, nullable=False),
    Column("token_hint", PlainText, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("revoke_time", Moment),
    Column("acts_for_people", Boolean, nullable=False, server_default=false()),
    Column("seal", LargeBinary),
    Index(None, "create_time", "id"),
)

_in_force: Final = callers.c.revoke_time.is_(None)
_certified: Final = and_(_in_force, callers.c.certificate_name != "")
Index(
    "callers_name_in_force_key",
    callers.c.name,
    unique=True,
    sqlite_where=_in_force,
    postgresql_where=_in_force,
)
Index(
    "callers_certificate_name_in_force_key",
    callers.c.certificate_name,
    unique=True,
    sqlite_where=_certified,
    postgresql_where=_certified,
)

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time", Moment, nullable=False),
    Column("caller_id", PlainText, nullable=False),
    Column("caller_name", PlainText, nullable=False),
    Column("action", PlainText, key="method", nullable=False),
    Column("subject", PlainText, nullable=False),
    Column("workspace_id", PlainText, nullable=False),
    Column("refused", Boolean, nullable=False),
    Column("source", PlainText, nullable=False),
    Column("request_id", PlainText, nullable=False),
    Column("details", TextMap, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("person_id", PlainText, nullable=False, server_default=text("''")),
    Column("person_name", PlainText, nullable=False, server_default=text("''")),
    # NULL in the entries of older versions, which state no action: see `domain.earlier`.
    Column("fact", Happened, key="action"),
    Index(None, "subject", "id"),
    Index(None, "workspace_id", "id"),
    Index(None, "caller_id", "id"),
    Index(None, "person_id", "id"),
    Index(None, "time"),
    # Without this, SQLite would reuse the numbers of pruned entries.
    sqlite_autoincrement=True,
)

peppers: Final = Table(
    "peppers",
    metadata,
    Column("version", Number, primary_key=True, autoincrement=False),
    Column("state", Numbered(PepperState), nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("create_time", Moment, nullable=False),
)

# If a caller acted for a person, the person's id follows in `caller_id`.
replays: Final = Table(
    "replays",
    metadata,
    Column("caller_id", PlainText, primary_key=True),
    Column("request_id", PlainText, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expire_time", Moment, nullable=False),
    Index(None, "expire_time"),
)
