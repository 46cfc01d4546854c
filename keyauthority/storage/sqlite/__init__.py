"""All that knows SQLite: a file, one connection, one process."""

from keyauthority.storage.sqlite.opening import examine_sqlite, migrate_sqlite, open_sqlite

__all__ = ["examine_sqlite", "migrate_sqlite", "open_sqlite"]
