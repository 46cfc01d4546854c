"""The tables, the same in every database, as the newest of `migrations` leaves them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, UniqueConstraint

from console.people.records import LinkPurpose, Role
from keyauthority.base.relational.columns import (
    Moment,
    Named,
    Number,
    String,
    TextMap,
    compatibility_in,
    new_metadata,
)

metadata: Final = new_metadata()
compatibility: Final = compatibility_in(metadata)

# `password` is a hash of argon2 with its parameters, null for people who sign in elsewhere.
people: Final = Table(
    "people",
    metadata,
    Column("id", String, primary_key=True),
    Column("email", String, nullable=False),
    Column("email_key", String, nullable=False),
    Column("name", String, nullable=False),
    Column("administrator", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("time_zone", String, nullable=False),
    Column("password", String),
    Column("create_time", Moment, nullable=False),
    UniqueConstraint("email_key"),
    Index(None, "create_time", "id"),
)

identities: Final = Table(
    "identities",
    metadata,
    Column("issuer", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("person_id", String, ForeignKey("people.id"), nullable=False),
    Column("create_time", Moment, nullable=False),
    Index(None, "person_id"),
)

memberships: Final = Table(
    "memberships",
    metadata,
    Column("workspace_id", String, primary_key=True),
    Column("person_id", String, ForeignKey("people.id"), primary_key=True),
    Column("role", Named(Role), nullable=False),
    Column("since", Moment, nullable=False),
    Index(None, "person_id"),
)

# A new link replaces the one in the same `slot`.
links: Final = Table(
    "links",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("slot", String, nullable=False),
    Column("id", String, nullable=False),
    Column("purpose", Named(LinkPurpose), nullable=False),
    Column("email", String, nullable=False),
    Column("workspace_id", String, nullable=False),
    Column("role", Named(Role)),
    Column("person_id", String, ForeignKey("people.id")),
    Column("invited_by", String, nullable=False),
    Column("inviter_email", String, nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("expire_time", Moment, nullable=False),
    UniqueConstraint("slot"),
    UniqueConstraint("id"),
    Index(None, "workspace_id"),
    Index(None, "expire_time"),
)

sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("person_id", String, ForeignKey("people.id"), nullable=False),
    Column("create_time", Moment, nullable=False),
    Column("last_seen_time", Moment, nullable=False),
    Column("address", String, nullable=False),
    Column("user_agent", String, nullable=False),
    Column("method", String, nullable=False),
    UniqueConstraint("digest"),
    Index(None, "person_id"),
    Index(None, "last_seen_time"),
)

submissions: Final = Table(
    "submissions",
    metadata,
    Column("session_id", String, ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("purpose", String, nullable=False),
    Column("workspace_id", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("begin_time", Moment, nullable=False),
)

# `full_time`: when all attempts are regained, and the row can be deleted.
attempts: Final = Table(
    "attempts",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("full_time", Moment, nullable=False),
    Index(None, "full_time"),
)

events: Final = Table(
    "events",
    metadata,
    Column("id", Number, primary_key=True),
    Column("time", Moment, nullable=False),
    Column("person_id", String, nullable=False),
    Column("person_email", String, nullable=False),
    Column("workspace_id", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("details", TextMap, nullable=False),
    Column("source", String, nullable=False),
    Index(None, "workspace_id", "id"),
    Index(None, "person_id", "id"),
    Index(None, "time"),
    # Otherwise SQLite would give the id of a deleted event to a new one.
    sqlite_autoincrement=True,
)
