"""`keyauthority peppers`: add, activate and retire what secrets are hashed with."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, moment, table, to_dict, word
from keyauthority.v1.operations_service_pb2 import (
    ActivatePepperRequest,
    AddPepperRequest,
    ListPeppersRequest,
    PepperState,
    RetirePepperRequest,
)


@click.group()
def command() -> None:
    """Add, activate and retire peppers: what secrets are hashed with, kept outside the database.

    A new one takes two steps, add and activate; the old one is retired when nothing uses it.
    """


@command.command("list")
@with_authority
def list_peppers(authority: Authority) -> Answer:
    """List the pepper versions, oldest first."""
    answer = authority.call(authority.operations.ListPeppers, ListPeppersRequest())
    rows = (
        (
            str(one.version),
            word(PepperState.Name(one.state), "PEPPER_STATE_"),
            str(one.secrets),
            moment(one.create_time),
        )
        for one in answer.peppers
    )
    return Answer(
        {"peppers": [to_dict(one) for one in answer.peppers]},
        table(("VERSION", "STATE", "SECRETS", "CREATED"), rows),
    )


@command.command()
@with_authority
def add(authority: Authority) -> Answer:
    """Add a version to the keyring file. Nothing uses it until it is activated."""
    answer = authority.call(authority.operations.AddPepper, AddPepperRequest())
    version = answer.pepper.version
    return Answer(
        answer,
        f"Added pepper version {version}. When every replica has the new keyring file: "
        f"keyauthority peppers activate {version}",
    )


@command.command()
@click.argument("version", type=click.IntRange(min=1, max=2**31 - 1))
@with_authority
def activate(authority: Authority, version: int) -> Answer:
    """Have new secrets hashed with VERSION."""
    answer = authority.call(
        authority.operations.ActivatePepper, ActivatePepperRequest(version=version)
    )
    return Answer(answer, f"Pepper version {version} is active.")


@command.command()
@click.argument("version", type=click.IntRange(min=1, max=2**31 - 1))
@with_authority
def retire(authority: Authority, version: int) -> Answer:
    """Retire VERSION, which no secret may use any more."""
    answer = authority.call(authority.operations.RetirePepper, RetirePepperRequest(version=version))
    return Answer(answer, f"Pepper version {version} is retired.")
