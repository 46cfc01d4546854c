"""`keyauthority workspaces`: create, suspend and resume workspaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import listed, listing_options
from keyauthority.cli.output import Answer, details, moment, printable, spread, table
from keyauthority.v1.workspace_service_pb2 import (
    CreateWorkspaceRequest,
    GetWorkspaceRequest,
    ListWorkspacesRequest,
    UpdateWorkspaceRequest,
    Workspace,
)


@click.group()
def command() -> None:
    """Create, suspend and resume workspaces: the tenants that own keys and are billed."""


@command.command()
@click.argument("name")
@with_authority
def create(authority: Authority, name: str) -> Answer:
    """Create a workspace called NAME."""
    answer = authority.call(authority.workspaces.CreateWorkspace, CreateWorkspaceRequest(name=name))
    made = answer.workspace
    return Answer(answer, f'Created {made.id} "{printable(made.name)}".')


@command.command()
@click.argument("workspace_id", metavar="ID")
@with_authority
def get(authority: Authority, workspace_id: str) -> Answer:
    """Show one workspace."""
    answer = authority.call(
        authority.workspaces.GetWorkspace, GetWorkspaceRequest(workspace_id=workspace_id)
    )
    found = answer.workspace
    fields = [
        ("workspace", found.id),
        ("name", found.name),
        ("state", _state(found)),
        ("created", moment(found.create_time)),
        ("changed", moment(found.update_time)),
        ("etag", found.etag),
    ]
    return Answer(answer, details(fields))


@command.command("list")
@listing_options
@with_authority
def list_workspaces(authority: Authority, limit: int | None) -> Answer:
    """List workspaces, newest first."""

    def page(size: int, after: str) -> tuple[Sequence[Workspace], str]:
        answer = authority.call(
            authority.workspaces.ListWorkspaces,
            ListWorkspacesRequest(page_size=size, page_token=after),
        )
        return answer.workspaces, answer.next_page_token

    return listed("workspaces", page, limit, _table)


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
    request = UpdateWorkspaceRequest(workspace=Workspace(id=workspace_id, suspended=suspended))
    request.update_mask.paths.append("suspended")
    answer = authority.call(authority.workspaces.UpdateWorkspace, request)
    changed = answer.workspace
    told = f'{changed.id} "{printable(changed.name)}" is {_state(changed)}.'
    return Answer(answer, f"{told} {spread(answer.receipt)}")


def _table(workspaces: Iterable[Workspace]) -> str:
    return table(
        ("ID", "NAME", "STATE", "CREATED"),
        ((one.id, one.name, _state(one), moment(one.create_time)) for one in workspaces),
    )


def _state(workspace: Workspace) -> str:
    return "suspended" if workspace.suspended else "active"
