"""`keyauthority audit`: read, export and prune the record of who did what."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import Page, listed, listing_options, pages
from keyauthority.cli.output import Answer, moment, pairs, table, to_dict
from keyauthority.cli.values import DURATION, FILE, MOMENT
from keyauthority.cli.wire import enum_name, timestamp
from keyauthority.v1.audit_service_pb2 import (
    Action,
    AuditEntry,
    ListAuditEntriesRequest,
    PruneAuditEntriesRequest,
)

_PREFIX: Final = "ACTION_"


def _named(action: str) -> str:
    return action.removeprefix(_PREFIX).lower().replace("_", "-")


_ACTIONS: Final = tuple(map(_named, [name for name, _ in Action.items()][1:]))
# What these changed is in their names.
_PLAIN: Final = (
    Action.ACTION_KEY_PAUSED,
    Action.ACTION_KEY_RESUMED,
    Action.ACTION_WORKSPACE_SUSPENDED,
    Action.ACTION_WORKSPACE_RESUMED,
)


@click.group()
def command() -> None:
    """Read, export and prune the record of who did what."""


def _filters(run: Callable[..., Answer]) -> Callable[..., Answer]:
    # Hands the command the filters as a request whose page is still open.
    @click.option("--subject", default="", help="Only about this key, workspace or caller.")
    @click.option("--workspace", default="", help="Only of this workspace.")
    @click.option("--caller", default="", help="Only by this caller.")
    @click.option("--person", default="", metavar="ID", help="Only what was done for this person.")
    @click.option(
        "--action",
        type=click.Choice(_ACTIONS, case_sensitive=False),
        metavar="ACTION",
        help=f"Only where this happened: {', '.join(_ACTIONS)}.",
    )
    @click.option("--method", default="", help="Only by this method: KeyService.RevokeKey.")
    @click.option("--since", type=MOMENT, help="Only from this moment on: 2027-01-31T12:00:00Z.")
    @click.option("--until", type=MOMENT, help="Only before this moment.")
    @functools.wraps(run)
    def filtered(
        *args: Any,
        subject: str,
        workspace: str,
        caller: str,
        person: str,
        action: str | None,
        method: str,
        since: datetime | None,
        until: datetime | None,
        **kwargs: Any,
    ) -> Answer:
        which = ListAuditEntriesRequest(
            subject=subject,
            workspace_id=workspace,
            caller_id=caller,
            person_id=person,
            action=method,
            fact=Action.Value(enum_name(_PREFIX, action)),
            start_time=timestamp(since),
            end_time=timestamp(until),
        )
        return run(*args, which=which, **kwargs)

    return filtered


@command.command("list")
@_filters
@listing_options
@with_authority
def list_entries(authority: Authority, which: ListAuditEntriesRequest, limit: int | None) -> Answer:
    """List entries, newest first."""
    return listed("entries", _page(authority, which), limit, _table)


@command.command()
@_filters
@click.option("--output", type=FILE, help="Write to this file (0600), whole or not at all.")
@with_authority
def export(authority: Authority, which: ListAuditEntriesRequest, output: Path | None) -> Answer:
    """Write all entries, newest first, as JSON: one entry a line.

    With --json, and no --output, as one JSON document instead.
    """
    entries = pages(_page(authority, which))
    if output is not None:
        count = _write(output, entries)
        return Answer({"entries": count}, "", f"Wrote {count} entries to {output}.")
    if click.get_current_context().obj.json:
        return Answer({"entries": [to_dict(entry) for entry in entries]}, "")
    for entry in entries:
        click.echo(_json_line(entry))
    return Answer({}, "")


@command.command()
@click.option("--older-than", type=DURATION, required=True, help="How old: 400d, 12h.")
@with_authority
def prune(authority: Authority, older_than: timedelta) -> Answer:
    """Delete the oldest entries for good."""
    before = timestamp(datetime.now(UTC) - older_than)
    answer = authority.call(
        authority.audit.PruneAuditEntries, PruneAuditEntriesRequest(before_time=before)
    )
    return Answer(answer, f"Deleted {answer.deleted} entries.")


def _page(authority: Authority, which: ListAuditEntriesRequest) -> Page[AuditEntry]:
    def page(size: int, after: str) -> tuple[Sequence[AuditEntry], str]:
        which.page_size, which.page_token = size, after
        answer = authority.call(authority.audit.ListAuditEntries, which)
        return answer.entries, answer.next_page_token

    return page


def _write(output: Path, entries: Iterator[AuditEntry]) -> int:
    partial = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    count = 0
    try:
        # Left by a process of the same id, or put there to be written through: never reused.
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for count, entry in enumerate(entries, 1):  # noqa: B007 - the last count is kept
                file.write(f"{_json_line(entry)}\n")
        partial.replace(output)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return count


def _json_line(entry: AuditEntry) -> str:
    return json.dumps(to_dict(entry))


def _table(entries: Iterable[AuditEntry]) -> str:
    return table(
        ("TIME", "WHO", "ACTION", "SUBJECT", "REFUSED", "FROM", "DETAILS"),
        (
            (
                moment(one.time),
                _who(one),
                _action(one),
                one.subject,
                "refused" if one.refused else "",
                one.source,
                _details(one),
            )
            for one in entries
        ),
    )


def _who(entry: AuditEntry) -> str:
    if not entry.person_id:
        return entry.caller_name
    return f"{entry.person_name or entry.person_id} via {entry.caller_name}"


def _action(entry: AuditEntry) -> str:
    # One that was named by a newer authority, or by none yet, is told by its method.
    known = entry.fact and entry.fact in Action.values()
    return _named(Action.Name(entry.fact)) if known else entry.action


def _details(entry: AuditEntry) -> str:
    details = dict(entry.details)
    before, after = details.pop("from", ""), details.pop("to", "")
    changed = f'from "{before}" to "{after}"' if after and entry.fact not in _PLAIN else ""
    return " ".join(filter(None, (changed, pairs(details))))
