"""What Alembic runs to get at the database."""

from keyauthority.base.relational.schema import run_steps
from keyauthority.storage.key_tables import keys

# With them, those of `tables` are known too.
run_steps(keys.metadata)
