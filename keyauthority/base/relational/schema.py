"""The migrations of a database, and the versions that may use its tables.

Each migration but the oldest states in `usable_from` which revision a version must know to use the
tables after it: its own, or an older one if older versions may go on. The database holds the
`usable_from` of its newest migration, for older versions to read.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, update

from keyauthority.base.relational.outages import StorageError


class Schema:
    """The migrations in *folder*; the table *compatibility* says which versions may use the tables."""

    def __init__(self, folder: Path, compatibility: Table) -> None:
        self._folder = folder
        self._compatibility = compatibility

    def upgrade(self, connection: Connection) -> None:
        """Migrates the database to the newest schema, within the transaction of *connection*.

        The database of a newer version stays as it is: `check_usable` checks whether it may be used.
        """
        revision = MigrationContext.configure(connection).get_current_revision()
        steps, newest = self._steps(), self.newest()
        if revision == newest or (revision is not None and revision not in steps):
            return
        config = self.config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        usable_from = steps[newest].module.usable_from
        connection.execute(update(self._compatibility).values(usable_from=usable_from))

    def check_usable(self, revision: str, usable_from: str | None) -> None:
        """Raises `StorageError` for tables of *revision* that this version may not use."""
        steps = self._steps()
        if revision not in steps and usable_from not in steps:
            raise StorageError(
                f"the database was written by a newer version, or another program (schema {revision}); "
                "use that version, name another database, or restore a backup from before it"
            )

    def check_newest(self, revision: str | None, migrate: str) -> None:
        """Raises `StorageError`, naming the command *migrate*, for tables that lack a migration."""
        if revision is None:
            raise StorageError(f"the database has no schema yet: run {migrate}")
        if revision in self._steps() and revision != self.newest():
            raise StorageError(f"the database has an older schema ({revision}): run {migrate}")

    def newest(self) -> str:
        """Returns the revision of this version's schema."""
        revision = self._script.get_current_head()
        assert revision is not None  # noqa: S101  # there are some
        return revision

    def config(self) -> Config:
        """Returns Alembic's configuration."""
        config = Config()
        config.set_main_option("script_location", str(self._folder).replace("%", "%%"))
        return config

    def _steps(self) -> dict[str, Script]:
        return {step.revision: step for step in self._script.walk_revisions()}

    @cached_property
    def _script(self) -> ScriptDirectory:
        # Each new one reads and compiles all migrations again.
        return ScriptDirectory.from_config(self.config())


def run_steps(metadata: MetaData) -> None:
    """Runs the migrations, as `env.py` has to, on a connection with a transaction open."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()
