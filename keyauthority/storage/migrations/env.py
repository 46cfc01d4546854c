"""The module that Alembic runs for a migration."""

from keyauthority.base.relational.schema import run_steps
from keyauthority.storage.key_tables import keys

# Importing `key_tables` imports `tables` too: both have the same metadata.
run_steps(keys.metadata)
