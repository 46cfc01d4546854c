"""WorkspaceService."""

from __future__ import annotations

from keyauthority.domain.callers import Actor
from keyauthority.domain.managing_workspaces import ManagingWorkspaces
from keyauthority.rpc import convert
from keyauthority.rpc.pages import by_create_time
from keyauthority.rpc.parts import Parts
from keyauthority.v1 import workspace_service_pb2 as v1

FIELDS = frozenset({"name", "suspended"})


class WorkspaceServicer:
    """Serves those who administer tenants."""

    def __init__(self, parts: Parts) -> None:
        self._workspaces = ManagingWorkspaces(parts.books)
        self._pages = parts.pages

    async def CreateWorkspace(
        self, request: v1.CreateWorkspaceRequest, actor: Actor
    ) -> v1.CreateWorkspaceResponse:
        workspace = await self._workspaces.create(actor, request.name)
        return v1.CreateWorkspaceResponse(workspace=convert.workspace(workspace))

    async def GetWorkspace(
        self, request: v1.GetWorkspaceRequest, actor: Actor
    ) -> v1.GetWorkspaceResponse:
        workspace = await self._workspaces.get(request.workspace_id)
        return v1.GetWorkspaceResponse(workspace=convert.workspace(workspace))

    async def BatchGetWorkspaces(
        self, request: v1.BatchGetWorkspacesRequest, actor: Actor
    ) -> v1.BatchGetWorkspacesResponse:
        workspaces = await self._workspaces.get_all(request.workspace_ids)
        return v1.BatchGetWorkspacesResponse(workspaces=map(convert.workspace, workspaces))

    async def ListWorkspaces(
        self, request: v1.ListWorkspacesRequest, actor: Actor
    ) -> v1.ListWorkspacesResponse:
        page = self._pages.asked(request, actor)
        found = await self._workspaces.page(page.limit, page.cursor)
        shown, token = self._pages.cut(page, found, by_create_time)
        return v1.ListWorkspacesResponse(
            workspaces=map(convert.workspace, shown), next_page_token=token
        )

    async def UpdateWorkspace(
        self, request: v1.UpdateWorkspaceRequest, actor: Actor
    ) -> v1.UpdateWorkspaceResponse:
        given = request.workspace
        mask = convert.mask_of(request.update_mask, given, FIELDS)
        workspace, receipt = await self._workspaces.update(
            actor,
            given.id,
            name=given.name if "name" in mask else None,
            suspended=given.suspended if "suspended" in mask else None,
            etag=given.etag,
        )
        return v1.UpdateWorkspaceResponse(
            workspace=convert.workspace(workspace), receipt=convert.receipt(receipt)
        )
