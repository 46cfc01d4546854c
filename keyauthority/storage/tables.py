"""The tables, the same in every database. How they came about: `migrations`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    text,
)

from keyauthority.domain.keys import RevocationReason
from keyauthority.domain.peppers import PepperState
from keyauthority.storage.columns import Happened, Moment, Numbered, RoleSet, TextMap, Texts

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

# Sorted and compared by code point everywhere, not by the language of a database server.
String: Final = Text().with_variant(Text(collation="C"), "postgresql")
# Only a column that SQLite calls INTEGER can be its row id, which numbers itself.
Number: Final = BigInteger().with_variant(Integer, "sqlite")

# The oldest schema revision that a version must know to use these tables: see `migrations`.
compatibility: Final = Table(
    "compatibility",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("usable_from", Text, nullable=False),
    CheckConstraint("id = 1", "one_row"),
)

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
    Column("subject", String, nullable=False),
)

# What leases are granted by. Lengths in milliseconds. `clean_stop` says that no lease outlived the
# process that last had the (SQLite) database.
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

# Used where several processes share the database; the one process of a SQLite file has its
# sessions in memory. `lease` and `in_force`, in milliseconds, and `number` are the allowance. They
# count only where `allowed_beat` is the beat: a process of an older version, which knows of none,
# moves the beat alone.
sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("caller_id", String, nullable=False),
    Column("name", String, nullable=False),
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

# One row for each connection to PostgreSQL: the number of the change it committed last. Should a
# connection break before the commit is answered, this tells whether it was made.
commits: Final = Table(
    "commits",
    metadata,
    Column("connection", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("time", Moment, nullable=False),
)

workspaces: Final = Table(
    "workspaces",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("suspended", Boolean, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("update_time", Moment, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index(None, "create_time", "id"),
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", String, primary_key=True),
    Column("workspace_id", String, ForeignKey("workspaces.id"), nullable=False),
    Column("name", String, nullable=False),
    Column("scopes", Texts, nullable=False),
    Column("labels", TextMap, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("expire_time", Moment),
    Column("create_time", Moment, nullable=False),
    Column("update_time", Moment, nullable=False),
    Column("revoke_time", Moment),
    Column("revoke_reason", Numbered(RevocationReason)),
    Column("revoke_note", String),
    Column("version", BigInteger, nullable=False),
    Column("creator_id", String, nullable=False, server_default=text("''")),
    Column("creator_name", String, nullable=False, server_default=text("''")),
    Column("revoker_id", String, nullable=False, server_default=text("''")),
    Column("revoker_name", String, nullable=False, server_default=text("''")),
    Index(None, "workspace_id", "create_time", "id"),
    Index(None, "create_time", "id"),
    Index(None, "creator_id", "create_time", "id"),
)

# Numbered in the order in which they were minted; two may bear the same time.
secrets: Final = Table(
    "secrets",
    metadata,
    Column("id", Number, primary_key=True),
    Column("key_id", String, ForeignKey("keys.id"), nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("pepper_version", Integer, nullable=False),
    Column("hint", String, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("end_time", Moment),
    Column("seal", LargeBinary),
    Column("creator_id", String, nullable=False, server_default=text("''")),
    Column("creator_name", String, nullable=False, server_default=text("''")),
    UniqueConstraint("key_id", "digest"),
    Index(None, "creator_id", "key_id"),
)

# Secrets minted elsewhere, found by their digest alone; each has its row in `secrets` too.
imports: Final = Table(
    "imports",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("key_id", String, ForeignKey("keys.id"), nullable=False),
)

# Beside the records, and never part of them: written late, in batches, of no weight for a verdict.
last_used: Final = Table(
    "last_used",
    metadata,
    Column("key_id", String, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("time", Moment, nullable=False),
)

callers: Final = Table(
    "callers",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("roles", RoleSet, nullable=False),
    Column("workspace_ids", Texts, nullable=False),
    Column("certificate_name", String, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("pepper_version", Integer, nullable=False),
    Column("token_hint", String, nullable=False),
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
    Column("caller_id", String, nullable=False),
    Column("caller_name", String, nullable=False),
    Column("action", String, key="method", nullable=False),
    Column("subject", String, nullable=False),
    Column("workspace_id", String, nullable=False),
    Column("refused", Boolean, nullable=False),
    Column("source", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("details", TextMap, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("person_id", String, nullable=False, server_default=text("''")),
    Column("person_name", String, nullable=False, server_default=text("''")),
    # What happened; NULL in what a process of a version before it was kept writes: see `domain.earlier`.
    Column("fact", Happened, key="action"),
    Index(None, "subject", "id"),
    Index(None, "workspace_id", "id"),
    Index(None, "caller_id", "id"),
    Index(None, "person_id", "id"),
    Index(None, "time"),
    # Without it SQLite would number a new entry like one that was pruned.
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

# `caller_id` is followed by the id of the person that the caller acted for, if it did.
replays: Final = Table(
    "replays",
    metadata,
    Column("caller_id", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("expire_time", Moment, nullable=False),
    Index(None, "expire_time"),
)
