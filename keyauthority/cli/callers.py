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
from keyauthority.cli.output import Answer, moment, printable, spread, table, to_dict, word
from keyauthority.cli.values import FILE
from keyauthority.cli.wire import enum_name
from keyauthority.v1.caller_service_pb2 import (
    Caller,
    CallerRole,
    CreateCallerRequest,
    CreateCallerResponse,
    ListCallersRequest,
    RevokeCallerRequest,
)

_ROLES = ("verifier", "issuer", "admin")


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
    help="What it may do.",
)
@click.option(
    "--workspace",
    "workspaces",
    multiple=True,
    help="A workspace that it may touch as an issuer. None: all.",
)
@click.option(
    "--certificate-name", default="", help="The subject alternative name of its certificate."
)
@click.option(
    "--acts-for-people",
    is_flag=True,
    help="It may say for whom it acts, and is believed: for a console that people sign in to.",
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
    request = CreateCallerRequest(
        name=name,
        roles=[CallerRole.Value(enum_name("CALLER_ROLE_", role)) for role in roles],
        workspace_ids=workspaces,
        certificate_name=certificate_name,
        acts_for_people=acts_for_people,
    )
    if token_file is None:
        answer = authority.call(authority.callers.CreateCaller, request)
        return Answer(answer, f"{_created(answer)}\n\n{_shown(answer.token)}")
    with _new_file(token_file) as file:
        answer = authority.call(authority.callers.CreateCaller, request)
        file.write(f"{answer.token}\n")
    told = f"{_created(answer)} Its token is in {token_file}."
    return Answer({"caller": to_dict(answer.caller)}, told)


@command.command("list")
@listing_options
@with_authority
def list_callers(authority: Authority, limit: int | None) -> Answer:
    """List callers, newest first, revoked ones included."""

    def page(size: int, after: str) -> tuple[Sequence[Caller], str]:
        answer = authority.call(
            authority.callers.ListCallers, ListCallersRequest(page_size=size, page_token=after)
        )
        return answer.callers, answer.next_page_token

    return listed("callers", page, limit, _table)


@command.command()
@click.argument("caller_id", metavar="ID")
@with_authority
def revoke(authority: Authority, caller_id: str) -> Answer:
    """Revoke a caller's credentials for good."""
    answer = authority.call(
        authority.callers.RevokeCaller, RevokeCallerRequest(caller_id=caller_id)
    )
    told = f'Revoked {answer.caller.id} "{printable(answer.caller.name)}".'
    return Answer(answer, f"{told} {spread(answer.receipt)}")


@contextmanager
def _new_file(path: Path) -> Iterator[IO[str]]:
    # Made before the token exists: a token that can't be kept would be lost for good.
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


def _created(answer: CreateCallerResponse) -> str:
    return f'Created {answer.caller.id} "{printable(answer.caller.name)}".'


def _shown(token: str) -> str:
    return (
        f"  {token}\n\n"
        "The token is shown this once and can't be retrieved again: keep it in a secret manager."
    )


def _table(callers: Iterable[Caller]) -> str:
    return table(
        ("ID", "NAME", "ROLES", "WORKSPACES", "FOR PEOPLE", "CREATED", "REVOKED", "TOKEN"),
        (
            (
                one.id,
                one.name,
                " ".join(word(CallerRole.Name(role), "CALLER_ROLE_") for role in one.roles),
                " ".join(one.workspace_ids) or "all",
                "yes" if one.acts_for_people else "no",
                moment(one.create_time),
                moment(one.revoke_time) if one.HasField("revoke_time") else "no",
                one.token_hint,
            )
            for one in callers
        ),
    )
