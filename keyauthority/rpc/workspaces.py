"""WorkspaceService."""

from __future__ import annotations

from keyauthority.domain.callers import Actor
from keyauthority.domain.etags import etag
from keyauthority.domain.managing_workspaces import ManagingWorkspaces
from keyauthority.domain.workspaces import Workspace
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import workspace_service_pb2 as v1
from keyauthority.v1.wire import timestamp

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
        return v1.CreateWorkspaceResponse(workspace=_workspace(workspace))

    async def GetWorkspace(
        self, request: v1.GetWorkspaceRequest, actor: Actor
    ) -> v1.GetWorkspaceResponse:
        workspace = await self._workspaces.get(request.workspace_id)
        return v1.GetWorkspaceResponse(workspace=_workspace(workspace))

    async def BatchGetWorkspaces(
        self, request: v1.BatchGetWorkspacesRequest, actor: Actor
    ) -> v1.BatchGetWorkspacesResponse:
        workspaces = await self._workspaces.get_all(request.workspace_ids)
        return v1.BatchGetWorkspacesResponse(workspaces=map(_workspace, workspaces))

    async def ListWorkspaces(
        self, request: v1.ListWorkspacesRequest, actor: Actor
    ) -> v1.ListWorkspacesResponse:
        page = self._pages.of(request, actor)
        records = await self._workspaces.page(page.limit, page.cursor)
        workspaces, token = self._pages.cut(page, records)
        return v1.ListWorkspacesResponse(
            workspaces=map(_workspace, workspaces), next_page_token=token
        )

    async def UpdateWorkspace(
        self, request: v1.UpdateWorkspaceRequest, actor: Actor
    ) -> v1.UpdateWorkspaceResponse:
        message = request.workspace
        mask = convert.mask_of(request.update_mask, message, FIELDS)
        workspace, receipt = await self._workspaces.update(
            actor,
            message.id,
            name=message.name if "name" in mask else None,
            suspended=message.suspended if "suspended" in mask else None,
            etag=message.etag,
        )
        return v1.UpdateWorkspaceResponse(
            workspace=_workspace(workspace), receipt=convert.receipt(receipt)
        )


def _workspace(record: Workspace) -> v1.Workspace:
    return v1.Workspace(
        id=record.id,
        name=record.name,
        suspended=record.suspended,
        create_time=timestamp(record.create_time),
        update_time=timestamp(record.update_time),
        etag=etag(record.id, record.version),
    )
