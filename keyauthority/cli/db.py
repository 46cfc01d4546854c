"""`keyauthority db`: work on the database that needs no running authority."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.relational.location import Location
from keyauthority.cli.output import Answer, count, entry_count
from keyauthority.cli.replaying import exported_entries, read_replays
from keyauthority.cli.values import DURATION, FILE, database_option
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.restoring import Replayed
from keyauthority.server import migrate as migrate_database
from keyauthority.storage import maintenance

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
    "replays",
    type=FILE,
    metavar="FILE",
    multiple=True,
    help="Revoke again what was revoked according to this file from `keyauthority audit export`, or "
    "enter again what was entered according to this one from `keyauthority ledger export`. Repeatable.",
)
@click.option(
    "--longest-lease",
    type=DURATION,
    default="0s",
    help="The longest lease granted since the backup, if leases were lengthened after it.",
)
@_with_database
def restore_epoch(database: Location, replays: Sequence[Path], longest_lease: timedelta) -> Answer:
    """Begin a new epoch in a database that was restored from a backup, before anything uses it.

    Verifiers then drop all verdicts from before. The command waits until the leases from before
    are over. All that it changes is one transaction: if it fails, nothing was changed.
    """
    files = read_replays(replays)
    restoring = maintenance.restore_epoch(
        database, files.audit, longest_lease, exported_entries(files.ledgers)
    )
    epoch, replayed, waited = _run(restoring)
    ledgers = replayed.ledgers
    return Answer(
        {
            "epoch": str(epoch),
            "keys_revoked": replayed.keys,
            "callers_revoked": replayed.callers,
            "workspaces_changed": replayed.workspaces,
            "workspaces_created": replayed.workspaces_created,
            "prices_set": replayed.prices,
            "entries_entered": ledgers.entered,
            "entries_known": ledgers.known,
            "entries_nowhere": list(ledgers.gaps),
            "refunds_left_out": list(ledgers.left_out),
            "keys_rotated": list(replayed.rotated),
            "keys_updated": list(replayed.updated),
            "missing": [*replayed.missing, *ledgers.workspaces],
        },
        f"Epoch {epoch} has begun; leases from before are over ({waited:.2f} s).\n"
        f"Done again: {count(replayed.keys, 'key')} and {count(replayed.callers, 'caller')} revoked, "
        f"{count(replayed.workspaces, 'workspace')} suspended or resumed, "
        f"{count(replayed.prices, 'price')} set.{_made_again(replayed)}",
        _left_to_do(replayed),
    )


def _made_again(replayed: Replayed) -> str:
    ledgers, lines = replayed.ledgers, [""]
    if replayed.workspaces_created:
        lines.append(f"Created again: {count(replayed.workspaces_created, 'workspace')}.")
    if ledgers.entered or ledgers.known:
        entered = entry_count(ledgers.entered)
        lines.append(f"Entered again: {entered} of credits; {ledgers.known:,} were there already.")
    return "\n".join(lines)


def _left_to_do(replayed: Replayed) -> str:
    ledgers = replayed.ledgers
    lines = [
        ("Rotated since the backup, so their old secrets work again: rotate", replayed.rotated),
        ("Changed since the backup, in ways that the audit does not hold: check", replayed.updated),
        ("Not in the backup, since they were made after it:", replayed.missing),
        (
            "Not in the backup, so that none of their entries was entered; replay the audit, too:",
            ledgers.workspaces,
        ),
    ]
    sentences = [f"{sentence} {' '.join(ids)}" for sentence, ids in lines if ids]
    places = [
        ("Entries that neither the backup nor a file has:", ledgers.gaps),
        ("Refunds that were not entered, since what they return is not there:", ledgers.left_out),
    ]
    sentences += [f"{sentence} {', '.join(names)}" for sentence, names in places if names]
    return "\n".join(sentences)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except (StartError, maintenance.StorageError) as error:
        raise click.ClickException(str(error)) from None
    except KeyAuthorityError as error:
        raise click.ClickException(error.message) from None
