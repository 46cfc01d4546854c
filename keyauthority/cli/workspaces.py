"""`keyauthority workspaces`: create, rename, suspend and resume workspaces."""

from __future__ import annotations

from collections.abc import Iterable

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.names import TEXT, WORKSPACE
from keyauthority.cli.output import Answer, details, moment, named, spread, table
from keyauthority.client.admin import Workspace, workspaces

_workspace_id = click.argument("workspace_id", metavar="WORKSPACE", type=WORKSPACE)


@click.group()
def command() -> None:
    """Create, rename, suspend and resume workspaces: the tenants that own keys and are billed."""


@command.command()
@click.argument("name")
@with_authority
def create(authority: Authority, name: str) -> Answer:
    """Create a workspace called NAME."""
    reply, workspace = authority.call(workspaces.create(name))
    sentence = f"Created {named(workspace.id, workspace.name)}."
    return Answer(reply, sentence, brief=workspace.id)


@command.command()
@_workspace_id
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
    return listed(authority, "workspaces", workspaces.page, limit, _table, lambda one: one.id)


@command.command()
@_workspace_id
@click.argument("name")
@click.option("--etag", type=TEXT, help="Rename it only if it still has this etag.")
@with_authority
def rename(authority: Authority, workspace_id: str, name: str, etag: str) -> Answer:
    """Call a workspace NAME from now on. Its id stays."""
    call = workspaces.update(workspace_id, name=name, etag=etag)
    reply, changed = authority.call(call)
    renamed = named(workspace_id, changed.record.name)
    return Answer(reply, f"It is {renamed} now. {spread(changed.receipt)}", brief="")


@command.command()
@_workspace_id
@with_authority
def suspend(authority: Authority, workspace_id: str) -> Answer:
    """Refuse all keys of a workspace, and wait until every verifier knows."""
    return _suspend(authority, workspace_id, suspended=True)


@command.command()
@_workspace_id
@with_authority
def resume(authority: Authority, workspace_id: str) -> Answer:
    """Accept the keys of a suspended workspace again."""
    return _suspend(authority, workspace_id, suspended=False)


def _suspend(authority: Authority, workspace_id: str, *, suspended: bool) -> Answer:
    reply, changed = authority.call(workspaces.update(workspace_id, suspended=suspended))
    workspace = changed.record
    sentence = f"{named(workspace.id, workspace.name)} is {_state(workspace)}."
    return Answer(reply, f"{sentence} {spread(changed.receipt)}", brief="")


def _table(records: Iterable[Workspace]) -> str:
    return table(
        ("ID", "NAME", "STATE", "CREATED"),
        (
            (workspace.id, workspace.name, _state(workspace), moment(workspace.create_time))
            for workspace in records
        ),
    )


def _state(workspace: Workspace) -> str:
    return "suspended" if workspace.suspended else "active"
