"""The migrations of a database, and the versions that may use its tables.

Each migration but the oldest states in `usable_from` which revision a version must know to use the
tables after it: its own, or an older one if older versions may go on. The database holds the
`usable_from` of its newest migration, for older versions to read.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, inspect, update

from keyauthority.base.relational.outages import StorageError

_REVISION: Final = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)


class Schema:
    """The migrations in *folder*; the table *compatibility* says which versions may use the tables."""

    def __init__(self, folder: Path, compatibility: Table) -> None:
        self._folder = folder
        self._compatibility = compatibility

    def upgrade(self, connection: Connection) -> None:
        """Migrates the database to the newest schema, within the transaction of *connection*.

        The database of a newer version stays as it is: `check_usable` checks whether it may be used.
        """
        revision = _revision(connection)
        if revision == self.newest() or (revision is not None and revision not in self._revisions):
            return
        # Most starts have nothing to migrate, and importing Alembic is a sixth of what one costs.
        from keyauthority.base.relational.steps import run_all  # noqa: PLC0415

        usable_from = run_all(self._folder, connection)
        connection.execute(update(self._compatibility).values(usable_from=usable_from))

    def check_usable(self, revision: str, usable_from: str | None) -> None:
        """Raises `StorageError` for tables of *revision* that this version may not use."""
        known = self._revisions
        if revision not in known and usable_from not in known:
            raise StorageError(
                f"the database was written by a newer version, or another program (schema {revision}); "
                "use that version, name another database, or restore a backup from before it"
            )

    def check_newest(self, revision: str | None, migrate: str) -> None:
        """Raises `StorageError`, naming the command *migrate*, for tables that lack a migration."""
        if revision is None:
            raise StorageError(f"the database has no schema yet: run {migrate}")
        if revision in self._revisions and revision != self.newest():
            raise StorageError(f"the database has an older schema ({revision}): run {migrate}")

    def newest(self) -> str:
        """Returns the revision of this version's schema."""
        return self._revisions[-1]

    @cached_property
    def _revisions(self) -> list[str]:
        # From the oldest on, as the names of their files begin with numbers.
        files = sorted((self._folder / "versions").glob("*.py"))
        return [found[1] for file in files if (found := _REVISION.search(file.read_text("utf-8")))]


def _revision(connection: Connection) -> str | None:
    """Returns the revision of the tables in the database; None without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql(
        "SELECT version_num FROM alembic_version"
    ).scalar()
    return revision
