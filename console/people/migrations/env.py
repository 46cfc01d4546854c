"""The script that Alembic runs its migrations by."""

from console.people.tables import metadata
from keyauthority.base.relational.steps import run_steps

run_steps(metadata)
