"""`keyauthority keys`: issue, change, find and revoke keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click

from keyauthority.cli import importing
from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.key_text import key_details, key_table, minted
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.output import Answer, printable, spread
from keyauthority.cli.values import DURATION, LABEL, MOMENT, read_secret
from keyauthority.cli.wire import duration, enum_name, timestamp
from keyauthority.v1.key_pb2 import Key, KeyState, RevocationReason
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyRequest,
    ListKeysRequest,
    LookupKeyRequest,
    RevokeKeyRequest,
    RevokeKeysRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import RevokePresentedRequest

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
    answer = authority.call(
        authority.keys.IssueKey,
        IssueKeyRequest(
            workspace_id=workspace,
            name=name,
            ttl=duration(expires_in),
            expire_time=timestamp(expires_at),
            scopes=scopes,
            labels=dict(labels),
            request_id=request_id,
        ),
    )
    told = f'Issued {answer.key.id} "{printable(answer.key.name)}" in {answer.key.workspace_id}.'
    return Answer(answer, f"{told}\n\n{minted(answer.secret)}")


@command.command()
@click.argument("key_id", metavar="ID")
@with_authority
def get(authority: Authority, key_id: str) -> Answer:
    """Show one key."""
    answer = authority.call(authority.keys.GetKey, GetKeyRequest(key_id=key_id))
    return Answer(answer, key_details(answer.key))


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

    def page(size: int, after: str) -> tuple[Sequence[Key], str]:
        answer = authority.call(
            authority.keys.ListKeys,
            ListKeysRequest(
                workspace_id=workspace,
                state=KeyState.Value(enum_name("KEY_STATE_", state)),
                name_contains=name_contains,
                creator_id=creator,
                secret_creator_id=shown_to,
                page_size=size,
                page_token=after,
            ),
        )
        return answer.keys, answer.next_page_token

    return listed("keys", page, limit, key_table)


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
    named = {
        "name": name is not None,
        "expire_time": expires_at is not None or never_expires,
        "scopes": bool(scopes) or no_scopes,
        "labels": bool(labels) or no_labels,
        "disabled": disabled is not None,
    }
    if not any(named.values()):
        raise click.UsageError("nothing to change: name at least one new value")
    request = UpdateKeyRequest(
        key=Key(
            id=key_id,
            name=name or "",
            expire_time=timestamp(expires_at),
            scopes=scopes,
            labels=dict(labels),
            disabled=bool(disabled),
            etag=etag,
        )
    )
    request.update_mask.paths.extend(field for field, given in named.items() if given)
    answer = authority.call(authority.keys.UpdateKey, request)
    return Answer(answer, f"{key_details(answer.key)}\n\n{spread(answer.receipt)}")


@command.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=DURATION, help="How long the old secret goes on working. [default: not]"
)
@_request_id
@with_authority
def rotate(authority: Authority, key_id: str, overlap: timedelta | None, request_id: str) -> Answer:
    """Give a key a new secret and print it, once."""
    answer = authority.call(
        authority.keys.RotateKey,
        RotateKeyRequest(key_id=key_id, overlap=duration(overlap), request_id=request_id),
    )
    told = f'{answer.key.id} "{printable(answer.key.name)}" has a new secret.'
    return Answer(answer, f"{told} {spread(answer.receipt)}\n\n{minted(answer.secret)}")


@command.command()
@click.argument("key_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--reason", type=click.Choice(_REASONS), help="Why, for reports.")
@click.option("--note", default="", help="Why, in words.")
@with_authority
def revoke(authority: Authority, key_ids: Sequence[str], reason: str | None, note: str) -> Answer:
    """Revoke keys for good; when this returns, nothing accepts them any more."""
    why = RevocationReason.Value(enum_name("REVOCATION_REASON_", reason))
    if len(key_ids) > 1:
        many = authority.call(
            authority.keys.RevokeKeys, RevokeKeysRequest(key_ids=key_ids, reason=why, note=note)
        )
        return Answer(many, f"Revoked {len(many.keys)} keys. {spread(many.receipt)}")
    one = authority.call(
        authority.keys.RevokeKey, RevokeKeyRequest(key_id=key_ids[0], reason=why, note=note)
    )
    told = f'Revoked {one.key.id} "{printable(one.key.name)}".'
    return Answer(one, f"{told} {spread(one.receipt)}")


@command.command()
@with_authority
def lookup(authority: Authority) -> Answer:
    """Find the key that a secret, read from standard input or a prompt, belongs or belonged to."""
    answer = authority.call(authority.keys.LookupKey, LookupKeyRequest(secret=read_secret()))
    return Answer(answer, key_details(answer.key))


@command.command("revoke-presented")
@click.option("--note", default="", help="Where the secret turned up, in words.")
@with_authority
def revoke_presented(authority: Authority, note: str) -> Answer:
    """Revoke the key that a secret, read from standard input or a prompt, belongs to.

    Whoever holds a secret may end its key: a token with the role verifier is enough.
    """
    answer = authority.call(
        authority.verification.RevokePresented,
        RevokePresentedRequest(secret=read_secret(), note=note),
    )
    return Answer(answer, f"Revoked {answer.key_id}. {spread(answer.receipt)}")


def _only_one(**given: object) -> None:
    # Empty tuples, None and False were not given; a duration of nothing was.
    names = [name for name, value in given.items() if value or isinstance(value, timedelta)]
    if len(names) > 1:
        flags = [f"--{name.replace('_', '-')}" for name in names]
        raise click.UsageError(f"{' and '.join(flags)} exclude one another")
