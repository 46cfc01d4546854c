"""Creating, renaming, suspending and resuming workspaces."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import (
    CreateWorkspaceRequest,
    GetWorkspaceRequest,
    UpdateWorkspaceRequest,
    Workspace,
)
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, invalid_field, reason, refusal


@pytest.fixture
async def created(root: Api) -> Workspace:
    response = await root(CreateWorkspaceRequest(name="acme"))
    workspace: Workspace = response.workspace
    return workspace


async def update(api: Api, workspace_id: str, *mask: str, **fields: Any) -> Any:
    workspace = Workspace(id=workspace_id, **fields)
    return await api(UpdateWorkspaceRequest(workspace=workspace, update_mask=FieldMask(paths=mask)))


async def test_a_workspace_is_what_was_asked_for(root: Api, created: Workspace) -> None:
    """It can be read again as it was answered."""
    now = timestamp(START)
    assert created == Workspace(
        id=created.id, name="acme", create_time=now, update_time=now, etag=created.etag
    )
    assert (await root(GetWorkspaceRequest(workspace_id=created.id))).workspace == created


async def test_names_need_not_differ(root: Api, created: Workspace) -> None:
    """A workspace is known by its id."""
    assert (await root(CreateWorkspaceRequest(name="acme"))).workspace.id != created.id


async def test_a_mask_names_what_changes(root: Api, created: Workspace, clock: ManualClock) -> None:
    """Renaming doesn't suspend, suspending doesn't rename, `*` does both."""
    clock.time += timedelta(seconds=1)
    renamed = await update(root, created.id, "name", name="after", suspended=True)
    assert (renamed.workspace.name, renamed.workspace.suspended) == ("after", False)
    assert renamed.workspace.update_time == timestamp(clock.time)
    assert renamed.receipt.revision == 1
    suspended = await update(root, created.id, suspended=True)
    assert (suspended.workspace.name, suspended.workspace.suspended) == ("after", True)
    both = await update(root, created.id, "*", name="third")
    assert (both.workspace.name, both.workspace.suspended) == ("third", False)


async def test_changing_nothing_is_no_change(root: Api, created: Workspace) -> None:
    """The same values again leave the record and the revision alone."""
    again = await update(root, created.id, name="acme")
    assert (again.workspace, again.receipt.revision) == (created, 0)


async def test_a_change_builds_on_what_was_read(root: Api, created: Workspace) -> None:
    """A stale etag is refused with the current one."""
    first = await update(root, created.id, name="first", etag=created.etag)
    refused = await refusal(update(root, created.id, name="second", etag=created.etag))
    assert refused.code is grpc.StatusCode.ABORTED
    assert (refused.reason, refused.metadata) == ("ETAG_MISMATCH", {"etag": first.workspace.etag})


async def test_bad_changes_are_refused(root: Api, created: Workspace) -> None:
    """An unknown field, no name, no workspace: nothing changes."""
    with invalid_field("update_mask"):
        await update(root, created.id, "create_time")
    with invalid_field("name"):
        await update(root, created.id, "*", suspended=True)
    assert await reason(update(root, "ws_1", name="x")) == "WORKSPACE_NOT_FOUND"
    assert await reason(root(GetWorkspaceRequest())) == "WORKSPACE_NOT_FOUND"
    assert (await root(GetWorkspaceRequest(workspace_id=created.id))).workspace == created


@pytest.mark.parametrize("name", ["", " ", "x" * 101, "line\nbreak", "\u202etxt"])
async def test_a_name_keeps_to_its_limits(root: Api, created: Workspace, name: str) -> None:
    """1 to 100 characters that can be seen, in a new workspace and an old one."""
    with invalid_field("name"):
        await root(CreateWorkspaceRequest(name=name))
    with invalid_field("name"):
        await update(root, created.id, "name", name=name)
