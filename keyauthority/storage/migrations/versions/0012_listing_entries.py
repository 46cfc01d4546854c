"""Indexes that find the entries of a model, and those that are no charges."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
# Older versions write entries as before.
usable_from = "0007"


def upgrade() -> None:
    """Adds two indexes."""
    op.create_index(
        "credit_entries_workspace_id_model_number_idx",
        "credit_entries",
        ["workspace_id", "model", "number"],
    )
    no_charges = sa.text("kind <> 2")
    op.create_index(
        "credit_entries_no_charges",
        "credit_entries",
        ["workspace_id", "kind", "number"],
        sqlite_where=no_charges,
        postgresql_where=no_charges,
    )
