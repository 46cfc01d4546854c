"""The module that Alembic runs for a migration."""

from keyauthority.base.relational.steps import run_steps
from keyauthority.storage.key_tables import keys
from keyauthority.storage.ledger_tables import entries
from keyauthority.storage.price_tables import prices

# Importing these imports `tables` too: all have the same metadata.
assert keys.metadata is entries.metadata is prices.metadata  # noqa: S101
run_steps(keys.metadata)
