"""The oldest version that may use the tables."""

import sqlalchemy as sa
from alembic import op

revision = "console_0002"
down_revision = "console_0001"
# Versions older than this step don't read it.
usable_from = revision


def upgrade() -> None:
    """Adds a table of one row, which `Schema.upgrade` writes."""
    table = op.create_table(
        "compatibility",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("usable_from", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("compatibility_one_row_check")),
        sa.PrimaryKeyConstraint("id", name="compatibility_pkey"),
    )
    op.bulk_insert(table, [{"id": 1, "usable_from": usable_from}])
