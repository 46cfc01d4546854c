"""Seals of callers and of imported secrets, made with the keyring."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
# Older versions write rows without seals, which this one takes for somebody else's.
usable_from = revision


def upgrade() -> None:
    """Adds columns; the first start with the keyring seals the rows that are there."""
    for table in ("callers", "secrets"):
        op.add_column(table, sa.Column("seal", sa.LargeBinary))
