"""`keyauthority keys`: issue, change, find and revoke keys."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from keyauthority.cli import importing
from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.key_text import key_details, key_table, minted
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.output import Answer, printable, spread
from keyauthority.cli.values import DURATION, LABEL, MOMENT, read_secret
from keyauthority.client.admin import KeyState, RevocationReason, keys, verification
from keyauthority.domain.secrets import Secret

_STATES = ("active", "disabled", "expired", "revoked")
_REASONS = ("compromised", "superseded", "unused", "owner-left", "policy")


@click.group()
def command() -> None:
    """Issue, change, find and revoke keys."""


command.add_command(importing.command)

_expires_in = click.option(
    "--expires-in", type=DURATION, help="How long the key lives from now: 30d, 12h, 90m."
)
_expires_at = click.option(
    "--expires-at", type=MOMENT, help="When the key ends: 2027-01-31T12:00:00Z."
)
_request_id = click.option(
    "--request-id", default="", help="Makes a repeat within 10 minutes give the same answer."
)


@command.command()
@click.option("--workspace", required=True, help="The id of the workspace that owns the key.")
@click.option("--name", required=True, help="A name for people.")
@_expires_in
@_expires_at
@click.option("--scope", "scopes", multiple=True, help="What it may do. None: full access.")
@click.option("--label", "labels", multiple=True, type=LABEL, help="A label.")
@_request_id
@with_authority
def issue(
    authority: Authority,
    workspace: str,
    name: str,
    expires_in: timedelta | None,
    expires_at: datetime | None,
    scopes: Sequence[str],
    labels: Sequence[tuple[str, str]],
    request_id: str,
) -> Answer:
    """Issue a key and print its secret, once."""
    _only_one(expires_in=expires_in, expires_at=expires_at)
    reply, issued = authority.call(
        keys.issue(
            workspace,
            name,
            expires=expires_at if expires_in is None else expires_in,
            scopes=scopes,
            labels=dict(labels),
            request_id=request_id,
        )
    )
    key = issued.key
    sentence = f'Issued {key.id} "{printable(key.name)}" in {key.workspace_id}.'
    return Answer(reply, f"{sentence}\n\n{minted(issued.secret)}")


@command.command()
@click.argument("key_id", metavar="ID")
@with_authority
def get(authority: Authority, key_id: str) -> Answer:
    """Show one key."""
    reply, key = authority.call(keys.get(key_id))
    return Answer(reply, key_details(key))


@command.command("list")
@click.option("--workspace", default="", help="Only this workspace's keys.")
@click.option("--state", type=click.Choice(_STATES), help="Only keys in this state.")
@click.option("--name-contains", default="", help="Only keys with this in their name.")
@click.option("--creator", default="", metavar="ID", help="Only keys that this one issued.")
@click.option(
    "--shown-to",
    default="",
    metavar="ID",
    help="Only keys with a secret in force that this one was shown.",
)
@listing_options
@with_authority
def list_keys(
    authority: Authority,
    workspace: str,
    state: str | None,
    name_contains: str,
    creator: str,
    shown_to: str,
    limit: int | None,
) -> Answer:
    """List keys, newest first."""
    page = functools.partial(
        keys.page,
        workspace,
        state=None if state is None else KeyState[state.upper()],
        name_contains=name_contains,
        creator_id=creator,
        secret_creator_id=shown_to,
    )
    return listed(authority, "keys", page, limit, key_table)


@command.command()
@click.argument("key_id", metavar="ID")
@click.option("--name", help="A new name.")
@_expires_in
@_expires_at
@click.option("--never-expires", is_flag=True, help="Take the expiry away.")
@click.option("--scope", "scopes", multiple=True, help="A scope; replaces those it has.")
@click.option("--no-scopes", is_flag=True, help="Take all scopes away, which is full access.")
@click.option("--label", "labels", multiple=True, type=LABEL, help="Replaces those it has.")
@click.option("--no-labels", is_flag=True, help="Take all labels away.")
@click.option("--disable/--enable", "disabled", default=None, help="Switch the key off or on.")
@click.option("--etag", default="", help="Only if the key still has this etag.")
@with_authority
def update(
    authority: Authority,
    key_id: str,
    name: str | None,
    expires_in: timedelta | None,
    expires_at: datetime | None,
    never_expires: bool,
    scopes: Sequence[str],
    no_scopes: bool,
    labels: Sequence[tuple[str, str]],
    no_labels: bool,
    disabled: bool | None,
    etag: str,
) -> Answer:
    """Change a key, and wait until every verifier knows."""
    _only_one(expires_in=expires_in, expires_at=expires_at, never_expires=never_expires)
    _only_one(scope=scopes, no_scopes=no_scopes)
    _only_one(label=labels, no_labels=no_labels)
    if expires_in is not None:
        expires_at = datetime.now(UTC) + expires_in
    new_scopes = scopes if scopes or no_scopes else None
    new_labels = dict(labels) if labels or no_labels else None
    values = (name, expires_at, new_scopes, new_labels, disabled)
    if not never_expires and all(value is None for value in values):
        raise click.UsageError("nothing to change: name at least one new value")
    reply, changed = authority.call(
        keys.update(
            key_id,
            name=name,
            expire_time=expires_at,
            never_expires=never_expires,
            scopes=new_scopes,
            labels=new_labels,
            disabled=disabled,
            etag=etag,
        )
    )
    return Answer(reply, f"{key_details(changed.record)}\n\n{spread(changed.receipt)}")


@command.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=DURATION, help="How long the old secret goes on working. [default: not]"
)
@_request_id
@with_authority
def rotate(authority: Authority, key_id: str, overlap: timedelta | None, request_id: str) -> Answer:
    """Give a key a new secret and print it, once."""
    reply, rotated = authority.call(
        keys.rotate(key_id, overlap or timedelta(), request_id=request_id)
    )
    sentence = f'{rotated.key.id} "{printable(rotated.key.name)}" has a new secret.'
    return Answer(reply, f"{sentence} {spread(rotated.receipt)}\n\n{minted(rotated.secret)}")


@command.command()
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--reason", type=click.Choice(_REASONS), help="Why, for reports.")
@click.option("--note", default="", help="Why, in words.")
@with_authority
def revoke(authority: Authority, key_ids: Sequence[str], reason: str | None, note: str) -> Answer:
    """Revoke keys for good; when this returns, nothing accepts them any more."""
    why = RevocationReason[(reason or "unspecified").upper().replace("-", "_")]
    if len(key_ids) > 1:
        reply, many = authority.call(keys.revoke_all(key_ids, why, note))
        return Answer(reply, f"Revoked {len(many.record)} keys. {spread(many.receipt)}")
    reply, one = authority.call(keys.revoke(key_ids[0], why, note))
    sentence = f'Revoked {one.record.id} "{printable(one.record.name)}".'
    return Answer(reply, f"{sentence} {spread(one.receipt)}")


@command.command()
@with_authority
def lookup(authority: Authority) -> Answer:
    """Find the key that a secret, read from standard input or a prompt, belongs or belonged to."""
    reply, key = authority.call(keys.lookup(Secret(read_secret())))
    return Answer(reply, key_details(key))


@command.command("revoke-presented")
@click.option("--note", default="", help="Where the secret turned up, in words.")
@with_authority
def revoke_presented(authority: Authority, note: str) -> Answer:
    """Revoke the key that a secret, read from standard input or a prompt, belongs to.

    Whoever holds a secret may end its key: a token with the role verifier is enough.
    """
    reply, revoked = authority.call(verification.revoke_presented(Secret(read_secret()), note))
    return Answer(reply, f"Revoked {revoked.record}. {spread(revoked.receipt)}")


def _only_one(**values: object) -> None:
    # Empty tuples, None and False were not given; a duration of nothing was.
    names = [name for name, value in values.items() if value or isinstance(value, timedelta)]
    if len(names) > 1:
        flags = [f"--{name.replace('_', '-')}" for name in names]
        raise click.UsageError(f"{' and '.join(flags)} exclude one another")
