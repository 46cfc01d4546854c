"""Running the migrations of a database, by Alembic."""

from __future__ import annotations

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData


def config_of(folder: Path) -> Config:
    """Returns Alembic's configuration for the migrations in *folder*."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config


def run_all(folder: Path, connection: Connection) -> str:
    """Runs the migrations in *folder* that the database lacks, in the transaction of *connection*.

    Returns the `usable_from` of the newest one.
    """
    config = config_of(folder)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    newest = ScriptDirectory.from_config(config).get_revision("head")
    usable_from: str = newest.module.usable_from
    return usable_from


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
