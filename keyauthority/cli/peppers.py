"""`keyauthority peppers`: add, activate and retire what secrets are hashed with."""

from __future__ import annotations

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.output import Answer, moment, table, word
from keyauthority.client.admin import operations

_version = click.argument("version", type=click.IntRange(min=1, max=2**31 - 1))


@click.group()
def command() -> None:
    """Add, activate and retire peppers, which secrets are hashed with and no database holds.

    A new pepper takes two steps: add and activate. The old one is retired when nothing uses it.
    """


@command.command("list")
@with_authority
def list_peppers(authority: Authority) -> Answer:
    """List the pepper versions, oldest first."""
    reply, peppers = authority.call(operations.peppers())
    rows = (
        (str(pepper.version), word(pepper.state), str(pepper.secrets), moment(pepper.create_time))
        for pepper in peppers
    )
    return Answer(reply, table(("VERSION", "STATE", "SECRETS", "CREATED"), rows))


@command.command()
@with_authority
def add(authority: Authority) -> Answer:
    """Add a version to the keyring file. Nothing uses it until it is activated."""
    reply, pepper = authority.call(operations.add_pepper())
    return Answer(
        reply,
        f"Added pepper version {pepper.version}. When every replica has the new keyring file: "
        f"keyauthority peppers activate {pepper.version}",
        brief=str(pepper.version),
    )


@command.command()
@_version
@with_authority
def activate(authority: Authority, version: int) -> Answer:
    """Hash new secrets with VERSION."""
    reply, _ = authority.call(operations.activate_pepper(version))
    return Answer(reply, f"Pepper version {version} is active.", brief="")


@command.command()
@_version
@with_authority
def retire(authority: Authority, version: int) -> Answer:
    """Retire VERSION, which no secret may use any more."""
    reply, _ = authority.call(operations.retire_pepper(version))
    return Answer(reply, f"Pepper version {version} is retired.", brief="")
