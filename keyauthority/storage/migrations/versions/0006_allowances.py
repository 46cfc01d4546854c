"""How long the leases of each session may last."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
# Older versions go on writing rows without what this adds: it has defaults, and counts for nothing then.
usable_from = "0005"

ZERO = sa.text("0")


def upgrade() -> None:
    """Adds columns with defaults."""
    for name in ("lease", "in_force"):
        op.add_column("sessions", sa.Column(name, sa.BigInteger))
    for name in ("number", "allowed_beat", "late"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default=ZERO)
        op.add_column("sessions", column)
