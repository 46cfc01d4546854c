"""How the tables came about, step by step, and how a database is brought to the newest step."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Brings the database to the newest schema, within the transaction of *connection*."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def is_known(revision: str) -> bool:
    """Whether *revision* is one of this version's or of an older one."""
    script = ScriptDirectory.from_config(_config())
    return revision in {step.revision for step in script.walk_revisions()}


def newest() -> str:
    """The revision of this version's schema."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None  # noqa: S101  # there are some
    return revision


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
