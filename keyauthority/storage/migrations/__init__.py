"""How the tables came about, step by step, and how a database is brought to the newest step.

Each step but the first few says which revision a version must know to use the tables after it, in
`usable_from`: its own, or an older one if versions that don't know this step may go on. The database
keeps that of its newest step, for these versions to read.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, update

from keyauthority.storage.tables import compatibility


def upgrade(connection: Connection) -> None:
    """Brings the database to the newest schema, within the transaction of *connection*.

    One of a newer version stays as it is: whether this version may use it is checked by `may_use`.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    steps = _steps()
    if revision == newest() or (revision is not None and revision not in steps):
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.execute(update(compatibility).values(usable_from=steps[newest()].module.usable_from))


def may_use(revision: str, usable_from: str | None) -> bool:
    """Whether this version may use tables of *revision*, which say they are *usable_from* another."""
    steps = _steps()
    return revision in steps or usable_from in steps


def is_older(revision: str) -> bool:
    """Whether tables of *revision* lack a step that this version knows."""
    return revision in _steps() and revision != newest()


def newest() -> str:
    """The revision of this version's schema."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # noqa: S101  # there are some
    return revision


def _steps() -> dict[str, Script]:
    script = ScriptDirectory.from_config(_config())
    return {step.revision: step for step in script.walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
