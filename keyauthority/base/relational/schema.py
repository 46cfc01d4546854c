"""How tables come about, step by step, and which versions may use them.

Each step but the oldest says which revision a version must know to use the tables after it, in
`usable_from`: its own, or an older one if versions that don't know this step may go on. The database
keeps that of its newest step, for these versions to read.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, update

from keyauthority.base.relational.outages import StorageError


class Schema:
    """The steps in a *folder*, whose databases keep in the table *compatibility* who may use them."""

    def __init__(self, folder: Path, compatibility: Table) -> None:
        self._folder = folder
        self._compatibility = compatibility

    def upgrade(self, connection: Connection) -> None:
        """Brings the database to the newest schema, within the transaction of *connection*.

        One of a newer version stays as it is: whether it may be used is checked by `check_usable`.
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
        """Raises `StorageError`, naming the command *migrate*, for tables that lack a step."""
        if revision is None:
            raise StorageError(f"the database has no schema yet: run {migrate}")
        if revision in self._steps() and revision != self.newest():
            raise StorageError(f"the database has an older schema ({revision}): run {migrate}")

    def newest(self) -> str:
        """The revision of this version's schema."""
        revision = ScriptDirectory.from_config(self.config()).get_current_head()
        assert revision is not None  # noqa: S101  # there are some
        return revision

    def config(self) -> Config:
        """What Alembic is told."""
        config = Config()
        config.set_main_option("script_location", str(self._folder).replace("%", "%%"))
        return config

    def _steps(self) -> dict[str, Script]:
        script = ScriptDirectory.from_config(self.config())
        return {step.revision: step for step in script.walk_revisions()}


def run_steps(metadata: MetaData) -> None:
    """What Alembic's `env.py` does: it is handed a connection, with a transaction open."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        transactional_ddl=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()
