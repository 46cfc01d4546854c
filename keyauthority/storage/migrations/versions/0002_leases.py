"""Leases and sessions, imported secrets, and when secrets were last used."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

LEASE = 3_000
"""How long a lease lasts until somebody says otherwise, in milliseconds."""


def upgrade() -> None:
    """Adds tables; those that an older version knows stay as they are."""
    _create_terms()
    _create_sessions()
    _create_imports()
    _create_last_used()


def _create_terms() -> None:
    terms = op.create_table(
        "terms",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("lease", sa.BigInteger, nullable=False),
        sa.Column("longest_lease", sa.BigInteger, nullable=False),
        sa.Column("settling", sa.Boolean, nullable=False),
        sa.Column("foreign_secrets", sa.Boolean, nullable=False),
        sa.Column("clean_stop", sa.Boolean, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("terms_one_row_check")),
        sa.PrimaryKeyConstraint("id", name="terms_pkey"),
    )
    row = {
        "id": 1,
        "lease": LEASE,
        "longest_lease": LEASE,
        "settling": False,
        "foreign_secrets": False,
        # No verifier that an older version knew held a lease.
        "clean_stop": True,
        "version": 0,
    }
    op.bulk_insert(terms, [row])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", STRING, nullable=False),
        sa.Column("caller_id", STRING, nullable=False),
        sa.Column("name", STRING, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("sync_time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="sessions_pkey"),
    )
    op.create_index("sessions_caller_id_idx", "sessions", ["caller_id"])
    if op.get_bind().dialect.name == "postgresql":
        # A beat is never given twice, to whichever session.
        op.execute("CREATE SEQUENCE session_beats")


def _create_imports() -> None:
    op.create_table(
        "imports",
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("key_id", STRING, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="imports_pkey"),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], "imports_key_id_fkey"),
    )


def _create_last_used() -> None:
    op.create_table(
        "last_used",
        sa.Column("key_id", STRING, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "digest", name="last_used_pkey"),
    )
