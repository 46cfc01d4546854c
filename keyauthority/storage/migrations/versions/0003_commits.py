"""What each connection to PostgreSQL committed last."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

STRING = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Adds a table; those that an older version knows stay as they are."""
    op.create_table(
        "commits",
        sa.Column("connection", STRING, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("connection", name="commits_pkey"),
    )
