"""`keyauthority db`: bring the database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

import click

from keyauthority.cli.output import Answer
from keyauthority.cli.values import FILE
from keyauthority.server import StartError
from keyauthority.server import migrate as migrate_database


@click.group()
def command() -> None:
    """Bring the database to the schema of this version."""


@command.command()
@click.option(
    "--database",
    type=FILE,
    envvar="KEYAUTHORITY_DATABASE",
    show_envvar=True,
    help="The SQLite file. [default: keyauthority.db in the data directory]",
)
@click.pass_context
def migrate(ctx: click.Context, /, database: Path | None) -> Answer:
    """Migrate the database while no authority uses it. `serve` does so by itself at its start."""
    path = database or ctx.obj.data_dir / "keyauthority.db"
    try:
        migrate_database(path)
    except StartError as error:
        raise click.ClickException(str(error)) from None
    return Answer({"database": str(path)}, f"{path} has the schema of this version.")
