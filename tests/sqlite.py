"""SQLite files for tests: copying one that is migrated takes less time than migrating a new one."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from keyauthority.storage.sqlite import migrate_sqlite


def new_books(path: Path) -> None:
    """Makes the file that `migrate_sqlite` makes where there is none."""
    if not path.exists():
        path.write_bytes(_migrated())
        path.chmod(0o600)


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "books.db"
        migrate_sqlite(path)
        return path.read_bytes()
