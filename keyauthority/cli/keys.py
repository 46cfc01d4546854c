"""`keyauthority keys`: issue, change, find and revoke keys."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from keyauthority.cli import importing
from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.key_text import key_details, key_table, minted, placed
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.names import ENDED_KEY, KEY, NARROWING, TEXT, WORKSPACE
from keyauthority.cli.output import Answer, count, spread
from keyauthority.cli.values import DURATION, LABEL, MOMENT, read_secret
from keyauthority.client.admin import (
    Key,
    KeySettings,
    KeyState,
    RevocationReason,
    keys,
    verification,
)
from keyauthority.domain.secrets import Secret

_STATES = {
    "active": KeyState.ACTIVE,
    "paused": KeyState.DISABLED,
    "expired": KeyState.EXPIRED,
    "revoked": KeyState.REVOKED,
}
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
    "--request-id", type=TEXT, help="A repeat with this id within 10 minutes has the same answer."
)
_key_id = click.argument("key_id", metavar="KEY", type=KEY)
_within = click.option(
    "--workspace",
    "narrowing",
    type=NARROWING,
    help="The key has to be in this workspace.",
)


@command.command()
@click.option("--workspace", required=True, type=WORKSPACE, help="The workspace that owns the key.")
@click.option("--name", required=True, help="A name for people.")
@_expires_in
@_expires_at
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="What the key may do, such as models:read; repeatable. [default: full access]",
)
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
    settings = KeySettings(name, expire_time=expires_at, scopes=tuple(scopes), labels=dict(labels))
    reply, issued = authority.call(
        keys.issue(workspace, settings, ttl=expires_in, request_id=request_id)
    )
    sentence = f"Issued {placed(issued.key)}."
    text = f"{sentence}\n\n{minted(issued.secret)}"
    return Answer(reply, text, brief=issued.secret.reveal())


@command.command()
@_key_id
@_within
@with_authority
def get(authority: Authority, key_id: str) -> Answer:
    """Show one key."""
    reply, key = authority.call(keys.get(key_id))
    return Answer(reply, key_details(key))


@command.command("list")
@click.option("--workspace", "workspace_id", type=WORKSPACE, help="Only this workspace's keys.")
@click.option(
    "--state",
    type=click.Choice(tuple(_STATES)),
    callback=lambda _context, _option, state: _STATES.get(state),
    help="Only keys in this state.",
)
@click.option("--name-contains", type=TEXT, help="Only keys with this in their name.")
@click.option(
    "--creator",
    "creator_id",
    type=TEXT,
    metavar="ID",
    help="Only keys that this person or caller issued.",
)
@click.option(
    "--shown-to",
    "secret_creator_id",
    type=TEXT,
    metavar="ID",
    help="Only keys with a secret in force that this person or caller was shown.",
)
@click.option(
    "--expiring",
    type=DURATION,
    metavar="WITHIN",
    help="Only keys that are in force and end within this time: 30d.",
)
@click.option(
    "--label", "labels", multiple=True, type=LABEL, help="Only keys with this label. Repeatable."
)
@listing_options
@with_authority
def list_keys(
    authority: Authority,
    /,
    limit: int | None,
    expiring: timedelta | None,
    labels: Sequence[tuple[str, str]],
    **filters: Any,
) -> Answer:
    """List keys, newest first.

    --expiring and --label look through all keys of the listing, a thousand at a time.
    """
    page = functools.partial(keys.page, **filters)
    keeps = None
    if expiring is not None or labels:
        keeps = functools.partial(_matches, dict(labels), expiring)
    return listed(authority, "keys", page, limit, key_table, lambda key: key.id, keeps)


@command.command()
@_key_id
@_within
@click.option("--name", help="A new name.")
@_expires_in
@_expires_at
@click.option("--never-expires", is_flag=True, help="Remove the expiry.")
@click.option("--scope", "scopes", multiple=True, help="A scope, in place of the key's scopes.")
@click.option("--no-scopes", is_flag=True, help="Remove all scopes, which means full access.")
@click.option(
    "--label", "labels", multiple=True, type=LABEL, help="A label, in place of the key's labels."
)
@click.option("--no-labels", is_flag=True, help="Remove all labels.")
@click.option(
    "--pause/--resume", "disabled", default=None, help="Refuse the key for now, or no longer."
)
@click.option("--etag", type=TEXT, help="Change the key only if it still has this etag.")
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
    values: dict[str, Any] = {
        "name": name,
        "disabled": disabled,
        "expire_time": expires_at,
        "scopes": tuple(scopes) if scopes or no_scopes else None,
        "labels": dict(labels) if labels or no_labels else None,
    }
    new = {field: value for field, value in values.items() if value is not None}
    if never_expires:
        new["expire_time"] = None
    if not new:
        raise click.UsageError("nothing to change: name at least one new value")
    settings = replace(KeySettings(""), **new)
    reply, changed = authority.call(keys.update(key_id, settings, new, etag=etag))
    text = f"{key_details(changed.record)}\n\n{spread(changed.receipt)}"
    return Answer(reply, text, brief="")


@command.command()
@click.argument("key_id", metavar="KEY", type=ENDED_KEY)
@_within
@click.option(
    "--overlap",
    type=DURATION,
    default="0s",
    help="How long the old secret goes on working. [default: not at all]",
)
@_request_id
@with_authority
def rotate(authority: Authority, key_id: str, overlap: timedelta, request_id: str) -> Answer:
    """Give a key a new secret and print it, once.

    KEY is an id, or a name that no other key has or had.
    """
    reply, rotated = authority.call(keys.rotate(key_id, overlap, request_id=request_id))
    sentence = f"{placed(rotated.key)} has a new secret."
    text = f"{sentence} {spread(rotated.receipt)}\n\n{minted(rotated.secret)}"
    return Answer(reply, text, brief=rotated.secret.reveal())


@command.command()
@click.argument("key_ids", metavar="KEY...", nargs=-1, required=True, type=ENDED_KEY)
@_within
@click.option("--reason", type=click.Choice(_REASONS), help="Why, for reports.")
@click.option("--note", default="", help="Why, in words.")
@with_authority
def revoke(authority: Authority, key_ids: Sequence[str], reason: str | None, note: str) -> Answer:
    """Revoke keys for good; when this returns, nothing accepts them any more.

    KEY is an id, or a name that no other key has or had.
    """
    code = RevocationReason[(reason or "unspecified").upper().replace("-", "_")]
    if len(key_ids) > 1:
        reply, several = authority.call(keys.revoke_all(key_ids, code, note))
        places = " and ".join(sorted({one.workspace_id for one in several.record}))
        sentence = f"Revoked {count(len(several.record), 'key')} in {places}."
        return Answer(reply, f"{sentence} {spread(several.receipt)}", brief="")
    reply, revoked = authority.call(keys.revoke(key_ids[0], code, note))
    sentence = f"Revoked {placed(revoked.record)}."
    return Answer(reply, f"{sentence} {spread(revoked.receipt)}", brief="")


@command.command()
@with_authority
def lookup(authority: Authority) -> Answer:
    """Find the key of a secret, in force or not. It is read from standard input or a prompt."""
    reply, key = authority.call(keys.lookup(Secret(read_secret())))
    return Answer(reply, key_details(key))


@command.command("revoke-presented")
@click.option("--note", default="", help="Where the secret turned up, in words.")
@with_authority
def revoke_presented(authority: Authority, note: str) -> Answer:
    """Revoke the key of a secret, which is read from standard input or a prompt.

    Whoever holds a secret may end its key: a token with the role verifier is enough.
    """
    reply, revoked = authority.call(verification.revoke_presented(Secret(read_secret()), note))
    return Answer(reply, f"Revoked {revoked.record}. {spread(revoked.receipt)}", brief="")


def _matches(labels: Mapping[str, str], expiring: timedelta | None, key: Key) -> bool:
    settings = key.settings
    if not labels.items() <= settings.labels.items():
        return False
    if expiring is None:
        return True
    end = settings.expire_time
    in_force = key.state in (KeyState.ACTIVE, KeyState.DISABLED)
    return in_force and end is not None and end - datetime.now(UTC) <= expiring


def _only_one(**values: object) -> None:
    # An option that is absent is (), None or False. A duration of zero is false, and there.
    flags = [
        f"--{name.replace('_', '-')}"
        for name, value in values.items()
        if value or isinstance(value, timedelta)
    ]
    if len(flags) > 1:
        raise click.UsageError(f"{' and '.join(flags)} exclude one another")
