"""All that knows PostgreSQL: several processes, one database."""

from keyauthority.storage.postgres.hints import listening
from keyauthority.storage.postgres.opening import migrate_postgres, open_postgres

__all__ = ["listening", "migrate_postgres", "open_postgres"]
