"""What Alembic runs to get at the database."""

from console.people.tables import metadata
from keyauthority.base.relational.schema import run_steps

run_steps(metadata)
