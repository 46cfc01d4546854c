"""What Alembic runs to get at the database."""

from keyauthority.base.relational.schema import run_steps
from keyauthority.storage.tables import metadata

run_steps(metadata)
