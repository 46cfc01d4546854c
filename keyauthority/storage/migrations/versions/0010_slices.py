"""Slices: what of the workspaces' credits is set apart for sessions of verifiers."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
# Older versions know nothing of slices, and set none apart.
usable_from = "0007"

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TABLE = "credit_slices"
# By name: the columns, and for SQLite and PostgreSQL the rows.
INDICES = {
    "open": (
        ["workspace_id", "session_id"],
        "closed = 0 AND release_time IS NULL",
        "NOT closed AND release_time IS NULL",
    ),
    "set_aside": (
        ["workspace_id", "release_time"],
        "release_time IS NOT NULL",
        "release_time IS NOT NULL",
    ),
}


def upgrade() -> None:
    """Adds the table, and the indices by which the sharers of a workspace and what is due are found."""
    numbers = ("amount", "sequence", "granted")
    op.create_table(
        TABLE,
        sa.Column("session_id", STRING, nullable=False),
        sa.Column("workspace_id", STRING, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("caller_id", STRING, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in numbers),
        sa.Column("word", sa.Integer, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("release_time", sa.BigInteger),
        sa.PrimaryKeyConstraint("session_id", "workspace_id", "number", name=f"{TABLE}_pkey"),
        sa.CheckConstraint("number >= 1", name=op.f(f"{TABLE}_number_check")),
        *(
            sa.CheckConstraint(f"{name} >= 0", name=op.f(f"{TABLE}_{name}_check"))
            for name in numbers
        ),
    )
    op.create_index(f"{TABLE}_workspace_id_idx", TABLE, ["workspace_id"])
    for name, (columns, sqlite, postgres) in INDICES.items():
        op.create_index(
            f"{TABLE}_{name}",
            TABLE,
            columns,
            sqlite_where=sa.text(sqlite),
            postgresql_where=sa.text(postgres),
        )
