"""Calls of WorkspaceService: create, find, rename, suspend and resume workspaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.client.admin.records import Changed, Workspace
from keyauthority.v1 import workspace_service_pb2 as v1


def create(name: str) -> Call[Workspace]:
    """Creates a workspace."""
    return call(v1.CreateWorkspaceRequest(name=name), v1.CreateWorkspaceResponse, _workspace)


def get(workspace_id: str) -> Call[Workspace]:
    """Returns one workspace."""
    request = v1.GetWorkspaceRequest(workspace_id=workspace_id)
    return call(request, v1.GetWorkspaceResponse, _workspace)


def get_all(workspace_ids: Sequence[str]) -> Call[tuple[Workspace, ...]]:
    """Returns up to 1,000 workspaces, in order, without those that do not exist."""
    request = v1.BatchGetWorkspacesRequest(workspace_ids=workspace_ids)
    return call(
        request,
        v1.BatchGetWorkspacesResponse,
        lambda reply: tuple(map(reading.workspace, reply.workspaces)),
    )


def page(*, size: int = 0, token: str = "") -> Call[Page[Workspace]]:
    """Returns a page of the workspaces, newest first."""
    request = v1.ListWorkspacesRequest(page_size=size, page_token=token)
    return call(
        request,
        v1.ListWorkspacesResponse,
        lambda reply: Page(tuple(map(reading.workspace, reply.workspaces)), reply.next_page_token),
    )


def update(
    workspace_id: str, *, name: str | None = None, suspended: bool | None = None, etag: str = ""
) -> Call[Changed[Workspace]]:
    """Changes what is not None; with an *etag* only if the workspace still has it."""
    changes = {"name": name, "suspended": suspended}
    fields: dict[str, Any] = {field: new for field, new in changes.items() if new is not None}
    changed = v1.Workspace(id=workspace_id, etag=etag, **fields)
    request = v1.UpdateWorkspaceRequest(workspace=changed)
    request.update_mask.paths.extend(fields)
    return call(
        request,
        v1.UpdateWorkspaceResponse,
        lambda reply: Changed(reading.workspace(reply.workspace), reading.receipt(reply.receipt)),
    )


def _workspace(reply: v1.CreateWorkspaceResponse | v1.GetWorkspaceResponse) -> Workspace:
    return reading.workspace(reply.workspace)
