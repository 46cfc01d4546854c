"""The people that callers act for: in the audit, and as the creators of keys."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds columns with defaults: an older version goes on writing rows without them."""
    op.add_column(
        "callers",
        sa.Column("acts_for_people", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    for table, prefix in (("audit", "person"), ("keys", "creator")):
        for column in (f"{prefix}_id", f"{prefix}_name"):
            op.add_column(table, sa.Column(column, STRING, nullable=False, server_default=""))
    op.create_index("audit_person_id_id_idx", "audit", ["person_id", "id"])
    by_creator = ["creator_id", "create_time", "id"]
    op.create_index("keys_creator_id_create_time_id_idx", "keys", by_creator)
