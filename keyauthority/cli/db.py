"""`keyauthority db`: the database from outside the running authority."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from google.protobuf.json_format import ParseDict, ParseError

from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.relational.location import Location
from keyauthority.cli.output import Answer
from keyauthority.cli.values import DATABASE, DATABASE_HELP, DURATION, FILE
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
    """Migrate the database, set how long leases last, put it right after a restore."""


def _with_database(run: Callable[..., Answer]) -> Callable[..., Answer]:
    return click.option(
        "--database",
        type=DATABASE,
        envvar="KEYAUTHORITY_DATABASE",
        show_envvar=True,
        help=DATABASE_HELP,
    )(click.pass_context(run))


@command.command()
@_with_database
def migrate(ctx: click.Context, /, database: Location | None) -> Answer:
    """Bring the database to the schema of this version.

    `serve` does so by itself with a SQLite file, which no authority may be using meanwhile, and
    never with PostgreSQL, where several that migrate at the same time do no harm.
    """
    location = _database(ctx, database)
    try:
        migrate_database(location)
    except StartError as error:
        raise click.ClickException(str(error)) from None
    return Answer({"database": str(location)}, f"{location} has the schema of this version.")


@command.command()
@click.argument("length", type=DURATION, required=False)
@_with_database
def lease(ctx: click.Context, /, length: timedelta | None, database: Location | None) -> Answer:
    """Show how long leases last, or have them last LENGTH: 200ms to 60s, by default 3s.

    A longer lease lets verifiers ride out longer outages of the authority; a change waits for one
    that is cut off for about as long. No authority may be using a SQLite database meanwhile.
    """
    terms = _run(maintenance.lease(_database(ctx, database), length))
    seconds = terms.lease.total_seconds()
    return Answer({"lease": f"{seconds:g}s"}, f"Leases last {seconds:g} s.")


@command.command("restore-epoch")
@click.option(
    "--replay",
    type=FILE,
    metavar="FILE",
    help="Revoke again what this export of the audit (keyauthority audit export) says was revoked.",
)
@click.option(
    "--longest-lease",
    type=DURATION,
    default="0s",
    help="The longest lease that was granted since the backup, if they were lengthened after it.",
)
@_with_database
def restore_epoch(
    ctx: click.Context,
    /,
    replay: Path | None,
    longest_lease: timedelta,
    database: Location | None,
) -> Answer:
    """Begin a new epoch in a database that was restored from a backup, before anything uses it.

    Verifiers drop what they know from before, and every lease from before is waited out.
    """
    entries = _entries(replay) if replay is not None else []
    epoch, replayed, waited = _run(
        maintenance.restore_epoch(_database(ctx, database), entries, longest_lease)
    )
    return Answer(
        {
            "epoch": str(epoch),
            "keys_revoked": replayed.keys,
            "callers_revoked": replayed.callers,
            "workspaces_changed": replayed.workspaces,
            "keys_rotated": list(replayed.rotated),
            "keys_updated": list(replayed.updated),
            "missing": list(replayed.missing),
        },
        f"Epoch {epoch} has begun; leases from before are over ({waited:.2f} s).\n"
        f"Done again: {replayed.keys} keys and {replayed.callers} callers revoked, "
        f"{replayed.workspaces} workspaces suspended or resumed.",
        _left_to_do(replayed),
    )


def _left_to_do(replayed: Replayed) -> str:
    lines = [
        ("Rotated since the backup, so that their old secrets act again; rotate", replayed.rotated),
        ("Changed since the backup, which the audit doesn't hold; look at", replayed.updated),
        ("Not in the backup, since they were made after it", replayed.missing),
    ]
    return "\n".join(f"{what}: {' '.join(ids)}" for what, ids in lines if ids)


def _database(ctx: click.Context, database: Location | None) -> Location:
    location: Location = database or ctx.obj.data_dir / "keyauthority.db"
    return location


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
