"""All that knows SQLite: a file, one connection, one process."""

from keyauthority.storage.sqlite.opening import migrate_sqlite, open_sqlite

__all__ = ["migrate_sqlite", "open_sqlite"]
