"""`keyauthority-gateway spool`: what gateways have written down of holds and charges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from keyauthority.client import SpoolError
from keyauthority.client.spending.ownership import spools
from keyauthority.client.spending.records import Charged, Held
from keyauthority.client.spending.recovery import recover


@click.group("spool")
def spool() -> None:
    """What gateways hold and have charged that the authority has not confirmed."""


@spool.command("show")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def show(folder: Path) -> None:
    """List the spools in FOLDER, and what is open in them: a JSON object a line.

    Gateways may run meanwhile. A hold is charged in full if its gateway is gone.
    """
    try:
        for path in spools(folder):
            for line in _lines(path):
                click.echo(json.dumps(line))
    except (OSError, SpoolError) as error:
        raise click.ClickException(str(error)) from None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    contents = recover(path)
    yield {
        "spool": path.name,
        "holds": len(contents.holds),
        "charges": len(contents.charges),
        "torn": contents.torn,
        "unreadable": contents.unreadable,
    }
    for hold in contents.holds.values():
        yield {"spool": path.name, "kind": "hold", **_fields(hold)}
    for charge in contents.charges.values():
        yield {"spool": path.name, "kind": "charge", **_fields(charge)}


def _fields(record: Held | Charged) -> dict[str, Any]:
    fields = asdict(record.charge)
    parts = [
        {"session_id": session, "number": number, "nano_credits": amount}
        for (session, number), amount in record.charge.parts.items()
    ]
    return {"time": record.time, **fields, "parts": parts}
