"""`keyauthority db`: work on the database that needs no running authority."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from google.protobuf.json_format import ParseDict, ParseError

from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.relational.location import Location
from keyauthority.cli.output import Answer, count
from keyauthority.cli.values import DURATION, FILE, database_option
from keyauthority.client.admin import reading
from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.restoring import Replayed
from keyauthority.server import migrate as migrate_database
from keyauthority.storage import maintenance
from keyauthority.v1 import audit_service_pb2 as v1

Result = TypeVar("Result")


@click.group()
def command() -> None:
    """Migrate the database, set the length of leases, begin an epoch after a restore."""


def _with_database(run: Callable[..., Answer]) -> Callable[..., Answer]:
    # Adds --database, and hands its value or the default to the command.
    @database_option
    @click.pass_context
    @functools.wraps(run)
    def located(ctx: click.Context, /, database: Location | None, **options: Any) -> Answer:
        return run(database or ctx.obj.data_dir / "keyauthority.db", **options)

    return located


@command.command()
@_with_database
def migrate(database: Location) -> Answer:
    """Bring the database to the schema of this version.

    `serve` migrates a SQLite file itself, never PostgreSQL. No authority may use the SQLite file
    meanwhile; any number of these commands may run on one PostgreSQL database at once.
    """
    try:
        migrate_database(database)
    except StartError as error:
        raise click.ClickException(str(error)) from None
    return Answer({"database": str(database)}, f"{database} has the schema of this version.")


@command.command()
@click.argument("length", type=DURATION, required=False)
@_with_database
def lease(database: Location, length: timedelta | None) -> Answer:
    """Show the length of leases, or set it to LENGTH: 200ms to 60s, at first 3s.

    With longer leases verifiers answer through longer outages of the authority, and changes wait
    longer for a verifier that is cut off. No authority may use a SQLite database meanwhile.
    """
    terms = _run(maintenance.lease(database, length))
    seconds = terms.lease.total_seconds()
    return Answer({"lease": f"{seconds:g}s"}, f"Leases last {seconds:g} s.")


@command.command("restore-epoch")
@click.option(
    "--replay",
    type=FILE,
    metavar="FILE",
    help="Revoke again what was revoked according to this file from `keyauthority audit export`.",
)
@click.option(
    "--longest-lease",
    type=DURATION,
    default="0s",
    help="The longest lease granted since the backup, if leases were lengthened after it.",
)
@_with_database
def restore_epoch(database: Location, replay: Path | None, longest_lease: timedelta) -> Answer:
    """Begin a new epoch in a database that was restored from a backup, before anything uses it.

    Verifiers then drop all verdicts from before. The command waits until the leases from before
    are over.
    """
    entries = _entries(replay) if replay is not None else []
    epoch, replayed, waited = _run(maintenance.restore_epoch(database, entries, longest_lease))
    return Answer(
        {
            "epoch": str(epoch),
            "keys_revoked": replayed.keys,
            "callers_revoked": replayed.callers,
            "workspaces_changed": replayed.workspaces,
            "prices_set": replayed.prices,
            "keys_rotated": list(replayed.rotated),
            "keys_updated": list(replayed.updated),
            "missing": list(replayed.missing),
        },
        f"Epoch {epoch} has begun; leases from before are over ({waited:.2f} s).\n"
        f"Done again: {count(replayed.keys, 'key')} and {count(replayed.callers, 'caller')} revoked, "
        f"{count(replayed.workspaces, 'workspace')} suspended or resumed, "
        f"{count(replayed.prices, 'price')} set.",
        _left_to_do(replayed),
    )


def _left_to_do(replayed: Replayed) -> str:
    lines = [
        ("Rotated since the backup, so their old secrets work again: rotate", replayed.rotated),
        ("Changed since the backup, in ways that the audit does not hold: check", replayed.updated),
        ("Not in the backup, since they were made after it:", replayed.missing),
    ]
    return "\n".join(f"{sentence} {' '.join(ids)}" for sentence, ids in lines if ids)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except (StartError, maintenance.StorageError) as error:
        raise click.ClickException(str(error)) from None
    except KeyAuthorityError as error:
        raise click.ClickException(error.message) from None


def _entries(file: Path) -> list[AuditEntry]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {file}: {error}") from None
    return [_entry(file, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _entry(file: Path, number: int, line: str) -> AuditEntry:
    try:
        message = ParseDict(json.loads(line), v1.AuditEntry())
        entry = reading.audit_entry(message)
    except (ValueError, ParseError, TypeError):
        message = None
    if message is None or not (message.id and message.action and message.HasField("time")):
        raise click.ClickException(f"{file}, line {number}, is no exported audit entry")
    return entry
