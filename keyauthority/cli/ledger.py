"""`keyauthority ledger`: top up, adjust and refund credits, and read and prove the ledger."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.failures import Failure
from keyauthority.cli.ledger_export import export
from keyauthority.cli.ledger_reconcile import reconcile
from keyauthority.cli.ledger_record import record
from keyauthority.cli.ledger_reprice import reprice
from keyauthority.cli.ledger_usage import usage
from keyauthority.cli.ledger_verify import verify
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.names import CHARGED_KEY, TEXT, WORKSPACE
from keyauthority.cli.output import Answer, details, moment, spread, table
from keyauthority.cli.values import CREDITS, DURATION, MOMENT
from keyauthority.client.admin import (
    Call,
    Changed,
    CredentialError,
    MissingError,
    RefusedError,
    ledger,
)
from keyauthority.domain.ledger import Credited, Entry, EntryFilter, Kind
from keyauthority.escrow.slices import Account
from keyauthority.pricing.amounts import write

_KINDS: Final = {kind.name.lower(): kind for kind in Kind}
_NOTHING_ENTERED: Final = CredentialError, MissingError, RefusedError

_workspace_id = click.argument("workspace_id", metavar="WORKSPACE", type=WORKSPACE)
_reference = click.option(
    "--reference", type=TEXT, help="A repeat with this name counts only once. [default: a new one]"
)


@click.group()
def command() -> None:
    """Top up, adjust and refund credits, and read and prove the ledger."""


@command.command()
@_workspace_id
@with_authority
def balance(authority: Authority, workspace_id: str) -> Answer:
    """Show what a workspace has."""
    reply, account = authority.call(ledger.balance(workspace_id))
    return Answer(reply, details(_has(account)), brief=write(account.balance))


@command.command("top-up")
@_workspace_id
@click.option("--amount", type=CREDITS, required=True, help="How many credits: 10 or 2.5.")
@click.option(
    "--purchase", required=True, metavar="ID", help="What was bought: it counts only once."
)
@click.option("--promotional", is_flag=True, help="The credits were given away.")
@click.option(
    "--priority", type=click.IntRange(0, 100), help="Lower ones are drawn first. [default: 50]"
)
@click.option("--expires-in", type=DURATION, help="How long the credits last: 365d.")
@click.option("--expires-at", type=MOMENT, help="When they expire: 2027-01-31T12:00:00Z.")
@click.option("--note", default="", help="Why, for the ledger.")
@with_authority
def top_up(
    authority: Authority,
    workspace_id: str,
    amount: int,
    purchase: str,
    promotional: bool,  # as click passes it
    priority: int | None,
    expires_in: timedelta | None,
    expires_at: datetime | None,
    note: str,
) -> Answer:
    """Add credits that were bought or given away."""
    if expires_in is not None and expires_at is not None:
        raise click.UsageError("--expires-in and --expires-at exclude each other")
    reply, changed = authority.call(
        ledger.top_up(
            workspace_id,
            amount,
            purchase,
            priority=priority,
            expire_time=expires_at,
            ttl=expires_in,
            promotional=promotional,
            note=note,
        )
    )
    return Answer(reply, _entered("Added", changed), brief="")


@command.command()
@_workspace_id
@click.option("--amount", type=CREDITS, required=True, help="Credits to add: 10, or -2.5.")
@click.option("--reason", required=True, help="Why, for the ledger.")
@_reference
@with_authority
def adjust(
    authority: Authority, workspace_id: str, amount: int, reason: str, reference: str
) -> Answer:
    """Correct a balance, and wait until nobody spends what was taken."""
    call = ledger.adjust(workspace_id, amount, reason, reference=reference)
    with _naming(call):
        reply, changed = authority.call(call)
    return Answer(reply, _entered("Adjusted by", changed), brief="")


@command.command()
@_workspace_id
@click.option("--subject", required=True, metavar="REFERENCE", help="The charge or grant.")
@click.option("--amount", type=CREDITS, help="How much of it. [default: all]")
@_reference
@click.option("--note", default="", help="Why, for the ledger.")
@with_authority
def refund(
    authority: Authority,
    workspace_id: str,
    subject: str,
    amount: int | None,
    reference: str,
    note: str,
) -> Answer:
    """Return a charge to a workspace, or a grant to whoever bought it."""
    call = ledger.refund(workspace_id, subject, amount, reference=reference, note=note)
    with _naming(call):
        reply, changed = authority.call(call)
    return Answer(reply, _entered("Refunded", changed), brief="")


@command.command()
@click.option("--workspace", "workspace_id", required=True, type=WORKSPACE, help="Whose entries.")
@click.option(
    "--kind",
    type=click.Choice(tuple(_KINDS), case_sensitive=False),
    callback=lambda _context, _option, name: _KINDS.get(name),
    help="Only entries of this kind.",
)
@click.option("--key", "key_id", type=CHARGED_KEY, help="Only charges of this key.")
@click.option("--model", type=TEXT, help="Only charges of this model.")
@click.option("--reference", type=TEXT, help="Only the entry of this reference.")
@click.option("--since", "start", type=MOMENT, help="Only from this time on.")
@click.option("--until", "end", type=MOMENT, help="Only before this time.")
@listing_options
@with_authority
def entries(authority: Authority, /, limit: int | None, **filters: Any) -> Answer:
    """List a workspace's entries, newest first."""
    page = functools.partial(ledger.page, EntryFilter(**filters))
    return listed(authority, "entries", page, limit, _table, lambda entry: entry.reference)


command.add_command(usage)
command.add_command(export)
command.add_command(reconcile)
command.add_command(record)
command.add_command(reprice)
command.add_command(verify)


@contextmanager
def _naming(call: Call[Any]) -> Iterator[None]:
    # Whoever does not know whether it was entered has to be able to repeat it.
    try:
        yield
    except Failure as failure:
        if isinstance(failure.error, _NOTHING_ENTERED):
            raise
        reference = shlex.quote(getattr(call.request, "reference", ""))
        sentence = f"{failure.message}; repeat it with --reference {reference}"
        raise Failure(sentence, failure.error) from None


def _entered(verb: str, changed: Changed[Credited]) -> str:
    entry, account = changed.record.entry, changed.record.account
    sentence = f"{verb} {write(entry.amount)} credits as {entry.reference}."
    return f"{sentence} The balance is {write(account.balance)}. {spread(changed.receipt)}"


def _has(account: Account) -> list[tuple[str, str]]:
    return [
        ("balance", write(account.balance)),
        ("escrowed", write(account.escrowed)),
        ("available", write(account.available)),
    ]


def _table(records: Iterable[Entry]) -> str:
    return table(
        ("NUMBER", "TIME", "KIND", "AMOUNT", "BALANCE", "REFERENCE", "FOR"),
        (
            (
                str(entry.number),
                moment(entry.time),
                entry.kind.name.lower(),
                write(entry.amount),
                write(entry.balance),
                entry.reference,
                " ".join(filter(None, (entry.use.key_id, entry.use.model, entry.note))),
            )
            for entry in records
        ),
    )
