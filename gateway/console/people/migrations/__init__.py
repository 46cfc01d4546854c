"""How the tables came about, step by step, and how a database is brought to the newest step."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from gateway.console.people.errors import PeopleStoreError


def upgrade(connection: Connection) -> None:
    """Brings the database to the newest schema, within the transaction of *connection*."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check_known(revision: str) -> None:
    """Raises `PeopleStoreError` for a schema that this version doesn't know."""
    script = ScriptDirectory.from_config(_config())
    if revision not in {step.revision for step in script.walk_revisions()}:
        raise PeopleStoreError(
            f"it was written by a newer version, or another program (schema {revision}); "
            "use that version, or name another database"
        )


def newest() -> str:
    """The revision of this version's schema."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # noqa: S101  # there are some
    return revision


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
