"""`keyauthority audit`: read, export and prune the record of who did what."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.files import write_whole
from keyauthority.cli.listing import Entry, entries, listed, listing_options
from keyauthority.cli.names import ACTOR, TEXT, WORKSPACE
from keyauthority.cli.output import Answer, moment, pairs, table, to_dict
from keyauthority.cli.terminal import counted
from keyauthority.cli.values import DURATION, FILE, MOMENT
from keyauthority.client.admin import Action, AuditEntry, AuditFilter, audit

_ACTIONS: Final = {action.name.lower().replace("_", "-"): action for action in Action}
_NAMES: Final = {action: name for name, action in _ACTIONS.items()}
# The name of each of these says what changed.
_PLAIN: Final = (
    Action.KEY_PAUSED,
    Action.KEY_RESUMED,
    Action.WORKSPACE_SUSPENDED,
    Action.WORKSPACE_RESUMED,
)


@click.group()
def command() -> None:
    """Read, export and prune the record of who did what."""


# The options of a filter, by the names that the attributes of `AuditFilter` have.
_FILTERS: Final = (
    click.option("--subject", type=TEXT, help="Only about this key, workspace or caller."),
    click.option("--workspace", "workspace_id", type=WORKSPACE, help="Only of this workspace."),
    click.option("--caller", "caller_id", type=ACTOR, help="Only by this caller."),
    click.option("--person", "person_id", type=TEXT, metavar="ID", help="Only for this person."),
    click.option(
        "--action",
        type=click.Choice(tuple(_ACTIONS), case_sensitive=False),
        metavar="ACTION",
        callback=lambda _context, _option, name: _ACTIONS.get(name),
        help=f"Only this action: {', '.join(_ACTIONS)}.",
    ),
    click.option("--method", type=TEXT, help="Only calls of this method: KeyService.RevokeKey."),
    click.option("--since", "start", type=MOMENT, help="Only from this time on."),
    click.option(
        "--until", "end", type=MOMENT, help="Only before this time: 2027-01-31T12:00:00Z."
    ),
)


def _filtered(run: Callable[..., Answer]) -> Callable[..., Answer]:
    return functools.reduce(lambda command, option: option(command), reversed(_FILTERS), run)


@command.command("list")
@_filtered
@listing_options
@with_authority
def list_entries(authority: Authority, /, limit: int | None, **filters: Any) -> Answer:
    """List entries, newest first."""
    page = functools.partial(audit.page, AuditFilter(**filters))
    return listed(authority, "entries", page, limit, _table, lambda entry: str(entry.id))


@command.command()
@_filtered
@click.option("--output", type=FILE, help="Write to this file (0600), whole or not at all.")
@with_authority
def export(authority: Authority, /, output: Path | None, **filters: Any) -> Answer:
    """Write all entries as JSON, newest first: one entry per line.

    With --json and without --output they are one JSON document instead.
    """
    exported = entries(authority, "entries", functools.partial(audit.page, AuditFilter(**filters)))
    if output is not None:
        count = write_whole(output, map(_json_line, counted(exported, "Entries")))
        return Answer({"entries": count}, "", f"Wrote {count:,} entries to {output}.")
    if click.get_current_context().obj.json:
        return Answer({"entries": [to_dict(entry.message) for entry in exported]}, "")
    for entry in exported:
        click.echo(_json_line(entry))
    return Answer({}, "")


@command.command()
@click.option("--older-than", type=DURATION, required=True, help="How old: 400d, 12h.")
@with_authority
def prune(authority: Authority, older_than: timedelta) -> Answer:
    """Delete the oldest entries for good."""
    reply, deleted = authority.call(audit.prune(datetime.now(UTC) - older_than))
    return Answer(reply, f"Deleted {deleted:,} entries.", brief="")


def _json_line(entry: Entry[AuditEntry]) -> str:
    return json.dumps(to_dict(entry.message))


def _table(records: Iterable[AuditEntry]) -> str:
    return table(
        ("TIME", "WHO", "ACTION", "SUBJECT", "REFUSED", "FROM", "DETAILS"),
        (
            (
                moment(entry.time),
                _who(entry),
                _action(entry),
                entry.subject,
                "refused" if entry.refused else "",
                entry.source,
                _details(entry),
            )
            for entry in records
        ),
    )


def _who(entry: AuditEntry) -> str:
    if not entry.person_id:
        return entry.caller_name
    return f"{entry.person_name or entry.person_id} via {entry.caller_name}"


def _action(entry: AuditEntry) -> str:
    # An action that only a newer authority knows is shown as its method.
    return entry.method if entry.action is Action.OTHER else _NAMES[entry.action]


def _details(entry: AuditEntry) -> str:
    details = dict(entry.details)
    before, after = details.pop("from", ""), details.pop("to", "")
    changed = f'from "{before}" to "{after}"' if after and entry.action not in _PLAIN else ""
    return " ".join(filter(None, (changed, pairs(details))))
