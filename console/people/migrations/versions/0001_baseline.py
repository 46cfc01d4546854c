"""The first schema."""

import sqlalchemy as sa
from alembic import op

# The authority's revisions are plain numbers: neither program takes the other's tables for its own.
revision = "console_0001"
down_revision = None

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Creates all tables."""
    _create_people()
    _create_identities()
    _create_memberships()
    _create_links()
    _create_sessions()
    _create_submissions()
    _create_attempts()
    _create_events()


def _create_people() -> None:
    op.create_table(
        "people",
        sa.Column("id", STRING, nullable=False),
        sa.Column("email", STRING, nullable=False),
        sa.Column("email_key", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("administrator", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("time_zone", STRING, nullable=False),
        sa.Column("password", STRING),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="people_pkey"),
        sa.UniqueConstraint("email_key", name="people_email_key_key"),
    )
    op.create_index("people_create_time_id_idx", "people", ["create_time", "id"])


def _create_identities() -> None:
    op.create_table(
        "identities",
        sa.Column("issuer", STRING, nullable=False),
        sa.Column("subject", STRING, nullable=False),
        sa.Column("person_id", STRING, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="identities_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "identities_person_id_fkey"),
    )
    op.create_index("identities_person_id_idx", "identities", ["person_id"])


def _create_memberships() -> None:
    op.create_table(
        "memberships",
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("person_id", STRING, nullable=False),
        sa.Column("role", STRING, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "person_id", name="memberships_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "memberships_person_id_fkey"),
    )
    op.create_index("memberships_person_id_idx", "memberships", ["person_id"])


def _create_links() -> None:
    op.create_table(
        "links",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("slot", STRING, nullable=False),
        sa.Column("id", STRING, nullable=False),
        sa.Column("purpose", STRING, nullable=False),
        sa.Column("email", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("role", STRING),
        sa.Column("person_id", STRING),
        sa.Column("invited_by", STRING, nullable=False),
        sa.Column("inviter_email", STRING, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="links_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "links_person_id_fkey"),
        sa.UniqueConstraint("slot", name="links_slot_key"),
        sa.UniqueConstraint("id", name="links_id_key"),
    )
    op.create_index("links_workspace_id_idx", "links", ["workspace_id"])
    op.create_index("links_expire_time_idx", "links", ["expire_time"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", STRING, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("person_id", STRING, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("last_seen_time", sa.BigInteger, nullable=False),
        sa.Column("address", STRING, nullable=False),
        sa.Column("user_agent", STRING, nullable=False),
        sa.Column("method", STRING, nullable=False),
        sa.PrimaryKeyConstraint("id", name="sessions_pkey"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], "sessions_person_id_fkey"),
        sa.UniqueConstraint("digest", name="sessions_digest_key"),
    )
    op.create_index("sessions_person_id_idx", "sessions", ["person_id"])
    op.create_index("sessions_last_seen_time_idx", "sessions", ["last_seen_time"])


def _create_submissions() -> None:
    op.create_table(
        "submissions",
        sa.Column("session_id", STRING, nullable=False),
        sa.Column("request_id", STRING, nullable=False),
        sa.Column("purpose", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("key_id", STRING, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("begin_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("session_id", "request_id", name="submissions_pkey"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], "submissions_session_id_fkey", ondelete="CASCADE"
        ),
    )


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("full_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="attempts_pkey"),
    )
    op.create_index("attempts_full_time_idx", "attempts", ["full_time"])


def _create_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("person_id", STRING, nullable=False),
        sa.Column("person_email", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("action", STRING, nullable=False),
        sa.Column("subject", STRING, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("source", STRING, nullable=False),
        sa.PrimaryKeyConstraint("id", name="events_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_workspace_id_id_idx", "events", ["workspace_id", "id"])
    op.create_index("events_person_id_id_idx", "events", ["person_id", "id"])
    op.create_index("events_time_idx", "events", ["time"])
