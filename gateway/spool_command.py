"""`keyauthority-gateway spool`: what gateways have written down of holds and charges."""

from __future__ import annotations

from pathlib import Path

import click

from keyauthority.client import SpoolError
from keyauthority.client.spending import showing


@click.group("spool")
def spool() -> None:
    """What gateways hold and have charged, on the disk."""


@spool.command("show")
@click.argument("folder", type=click.Path(path_type=Path))
def show(folder: Path) -> None:
    """Show the spools in FOLDER, a line for each record. Gateways may run meanwhile."""
    try:
        for line in showing.show(folder):
            click.echo(line)
    except SpoolError as error:
        raise click.ClickException(str(error)) from None
