"""The one place that knows SQLite: a file, one connection, one process."""

from keyauthority.storage.sqlite.opening import open_sqlite

__all__ = ["open_sqlite"]
