"""`keyauthority workspaces`: create, suspend and resume workspaces."""

from __future__ import annotations

from collections.abc import Iterable

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.output import Answer, details, moment, printable, spread, table
from keyauthority.client.admin import Workspace, workspaces


@click.group()
def command() -> None:
    """Create, suspend and resume workspaces: the tenants that own keys and are billed."""


@command.command()
@click.argument("name")
@with_authority
def create(authority: Authority, name: str) -> Answer:
    """Create a workspace called NAME."""
    reply, made = authority.call(workspaces.create(name))
    return Answer(reply, f'Created {made.id} "{printable(made.name)}".')


@command.command()
@click.argument("workspace_id", metavar="ID")
@with_authority
def get(authority: Authority, workspace_id: str) -> Answer:
    """Show one workspace."""
    reply, workspace = authority.call(workspaces.get(workspace_id))
    fields = [
        ("workspace", workspace.id),
        ("name", workspace.name),
        ("state", _state(workspace)),
        ("created", moment(workspace.create_time)),
        ("changed", moment(workspace.update_time)),
        ("etag", workspace.etag),
    ]
    return Answer(reply, details(fields))


@command.command("list")
@listing_options
@with_authority
def list_workspaces(authority: Authority, limit: int | None) -> Answer:
    """List workspaces, newest first."""
    return listed(authority, "workspaces", workspaces.page, limit, _table)


@command.command()
@click.argument("workspace_id", metavar="ID")
@with_authority
def suspend(authority: Authority, workspace_id: str) -> Answer:
    """Have all keys of a workspace refused, and wait until every verifier knows."""
    return _suspend(authority, workspace_id, suspended=True)


@command.command()
@click.argument("workspace_id", metavar="ID")
@with_authority
def resume(authority: Authority, workspace_id: str) -> Answer:
    """Have the keys of a suspended workspace accepted again."""
    return _suspend(authority, workspace_id, suspended=False)


def _suspend(authority: Authority, workspace_id: str, *, suspended: bool) -> Answer:
    reply, changed = authority.call(workspaces.update(workspace_id, suspended=suspended))
    workspace = changed.record
    sentence = f'{workspace.id} "{printable(workspace.name)}" is {_state(workspace)}.'
    return Answer(reply, f"{sentence} {spread(changed.receipt)}")


def _table(records: Iterable[Workspace]) -> str:
    return table(
        ("ID", "NAME", "STATE", "CREATED"),
        ((one.id, one.name, _state(one), moment(one.create_time)) for one in records),
    )


def _state(workspace: Workspace) -> str:
    return "suspended" if workspace.suspended else "active"
