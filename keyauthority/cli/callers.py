"""`keyauthority callers`: create and revoke those who may call the authority."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.names import CALLER, TEXT, WORKSPACE
from keyauthority.cli.output import Answer, moment, named, spread, table, to_dict, word
from keyauthority.cli.values import FILE
from keyauthority.client.admin import Caller, NewCaller, Role, callers

_ROLES = tuple(role.name.lower() for role in Role)


@click.group()
def command() -> None:
    """Create and revoke callers: the services and operators that may call the authority."""


@command.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice(_ROLES),
    help="What the caller may do.",
)
@click.option(
    "--workspace",
    "workspaces",
    multiple=True,
    type=WORKSPACE,
    help="A workspace that it may touch as an issuer or biller. [default: all]",
)
@click.option(
    "--certificate-name", type=TEXT, help="The subject alternative name of its certificate."
)
@click.option(
    "--acts-for-people",
    is_flag=True,
    help="It may name the person for whom it acts, as a console does for those who signed in.",
)
@click.option(
    "--token-file", type=FILE, help="Write the token to this new file (0600), don't print it."
)
@with_authority
def create(
    authority: Authority,
    name: str,
    roles: Sequence[str],
    workspaces: Sequence[str],
    certificate_name: str,
    acts_for_people: bool,
    token_file: Path | None,
) -> Answer:
    """Create a caller called NAME and print its token, once."""
    create_caller = callers.create(
        name,
        [Role[role.upper()] for role in roles],
        workspace_ids=workspaces,
        certificate_name=certificate_name,
        acts_for_people=acts_for_people,
    )
    if token_file is None:
        reply, created = authority.call(create_caller)
        return Answer(
            reply,
            f"{_created(created)}\n\n"
            f"  {created.token.reveal()}\n\n"
            "The token is shown this once and can't be retrieved again: keep it in a secret manager.",
            brief=created.token.reveal(),
        )
    with _new_file(token_file) as file:
        reply, created = authority.call(create_caller)
        file.write(f"{created.token.reveal()}\n")
    sentence = f"{_created(created)} Its token is in {token_file}."
    return Answer({"caller": to_dict(reply)["caller"]}, sentence, brief=created.caller.id)


@command.command("list")
@listing_options
@with_authority
def list_callers(authority: Authority, limit: int | None) -> Answer:
    """List callers, newest first, revoked ones included."""
    return listed(authority, "callers", callers.page, limit, _table, lambda caller: caller.id)


@command.command()
@click.argument("caller_id", metavar="CALLER", type=CALLER)
@with_authority
def revoke(authority: Authority, caller_id: str) -> Answer:
    """Revoke a caller's credentials for good."""
    reply, revoked = authority.call(callers.revoke(caller_id))
    caller = named(revoked.record.id, revoked.record.name)
    return Answer(reply, f"Revoked {caller}. {spread(revoked.receipt)}", brief="")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    # Before the token exists: one that can't be written down would be lost for good.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.ClickException(
            f"{path} exists, and a token is not written over anything: name another file"
        ) from None
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _created(created: NewCaller) -> str:
    return f"Created {named(created.caller.id, created.caller.name)}."


def _table(records: Iterable[Caller]) -> str:
    return table(
        ("ID", "NAME", "ROLES", "WORKSPACES", "FOR PEOPLE", "CREATED", "REVOKED", "TOKEN"),
        (
            (
                caller.id,
                caller.name,
                " ".join(map(word, caller.roles)),
                " ".join(caller.workspace_ids) or "all",
                "yes" if caller.acts_for_people else "no",
                moment(caller.create_time),
                "no" if caller.revoke_time is None else moment(caller.revoke_time),
                caller.token_hint,
            )
            for caller in records
        ),
    )
