"""How the tables came about, step by step, and how a database is brought to the newest step.

Each step but the first says which revision a version must know to use the tables after it, in
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

from console.people.errors import PeopleStoreError
from console.people.tables import compatibility


def upgrade(connection: Connection) -> None:
    """Brings the database to the newest schema, within the transaction of *connection*.

    One of a newer version stays as it is: whether this version may use it is checked by `check_usable`.
    """
    revision = MigrationContext.configure(connection).get_current_revision()
    steps = _steps()
    if revision == newest() or (revision is not None and revision not in steps):
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.execute(update(compatibility).values(usable_from=steps[newest()].module.usable_from))


def check_usable(revision: str, usable_from: str | None) -> None:
    """Raises `PeopleStoreError` for a schema that this version may not use."""
    steps = _steps()
    if revision not in steps and usable_from not in steps:
        raise PeopleStoreError(
            f"it was written by a newer version, or another program (schema {revision}); "
            "use that version, or name another database"
        )


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
