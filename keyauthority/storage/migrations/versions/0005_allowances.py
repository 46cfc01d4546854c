"""How long the leases of each session may last."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ZERO = sa.text("0")


def upgrade() -> None:
    """Adds columns with defaults: an older version goes on writing rows without them."""
    for name in ("lease", "in_force"):
        op.add_column("sessions", sa.Column(name, sa.BigInteger))
    for name in ("number", "allowed_beat", "late"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default=ZERO)
        op.add_column("sessions", column)
