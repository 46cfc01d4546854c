"""Issuing a key and getting its record."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from keyauthority.domain import secrets
from keyauthority.v1.key_pb2 import KEY_STATE_ACTIVE, Key, SecretInfo
from keyauthority.v1.key_service_pb2 import GetKeyRequest, ListKeysRequest
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import START, ManualClock
from tests.rpc.parts import Api, issue, refusal, verdict


async def test_a_key_is_what_was_asked_for(root: Api, workspace: str) -> None:
    """The record holds every field of the request, and what the authority added."""
    expire_time = timestamp(START + timedelta(days=30))
    issued = await issue(
        root,
        workspace,
        "ci",
        expire_time=expire_time,
        scopes=["b:write", "a:*"],
        labels={"team": "search", "empty": ""},
    )
    now = timestamp(START)
    assert issued.key == Key(
        id=issued.key.id,
        workspace_id=workspace,
        name="ci",
        state=KEY_STATE_ACTIVE,
        expire_time=expire_time,
        scopes=["b:write", "a:*"],
        labels={"team": "search", "empty": ""},
        secrets=[
            SecretInfo(
                hint=f"{issued.secret[:12]}…{issued.secret[-4:]}",
                create_time=now,
                pepper_version=1,
                creator_id=issued.key.creator_id,
                creator_name="root",
            )
        ],
        create_time=now,
        update_time=now,
        etag=issued.key.etag,
        creator_id=issued.key.creator_id,
        creator_name="root",
    )
    assert issued.key.etag
    assert issued.key.creator_id.startswith("caller_")


async def test_a_secret_names_its_key(root: Api, workspace: str) -> None:
    """The secret has the shape that scanners know, and is never given again."""
    issued = await issue(root, workspace)
    assert secrets.record_id(issued.secret) == issued.key.id
    assert (await issue(root, workspace)).secret != issued.secret


async def test_an_issued_key_acts_at_once(root: Api, workspace: str) -> None:
    """A key works from the moment its secret is shown."""
    assert await verdict(root, (await issue(root, workspace)).secret) == "VALID"


async def test_get_returns_the_record_without_the_secret(root: Api, workspace: str) -> None:
    """The secret is shown once: nothing that reads keys repeats it."""
    issued = await issue(root, workspace)
    got = await root(GetKeyRequest(key_id=issued.key.id))
    listed = await root(ListKeysRequest(workspace_id=workspace))
    assert got.key == issued.key
    assert list(listed.keys) == [issued.key]
    assert issued.secret.encode()[-43:] not in got.SerializeToString() + listed.SerializeToString()


async def test_a_time_to_live_counts_from_now(
    root: Api, workspace: str, clock: ManualClock
) -> None:
    """A lifetime becomes the moment it ends at."""
    clock.time += timedelta(hours=5)
    issued = await issue(root, workspace, ttl=Duration(seconds=90))
    assert issued.key.expire_time == timestamp(START + timedelta(hours=5, seconds=90))


async def test_a_key_may_live_for_ever(root: Api, workspace: str) -> None:
    """Without an expiry there is none."""
    assert not (await issue(root, workspace)).key.HasField("expire_time")


async def test_expiry_is_kept_to_the_microsecond(root: Api, workspace: str) -> None:
    """What is finer than the books keep is cut off, not refused."""
    moment = Timestamp(seconds=int(START.timestamp()) + 60, nanos=123_456_789)
    issued = await issue(root, workspace, expire_time=moment)
    assert issued.key.expire_time.nanos == 123_456_000


async def test_an_unknown_workspace_gets_no_key(root: Api) -> None:
    """A key always belongs to a tenant that exists."""
    refused = await refusal(issue(root, "ws_nowhere"))
    assert (refused.reason, refused.metadata) == (
        "WORKSPACE_NOT_FOUND",
        {"workspace_id": "ws_nowhere"},
    )


async def test_a_suspended_workspace_gets_no_key(root: Api, workspace: str) -> None:
    """While a tenant is suspended it can't make itself new keys; resumed, it can."""
    await root(UpdateWorkspaceRequest(workspace=Workspace(id=workspace, suspended=True)))
    refused = await refusal(issue(root, workspace))
    assert (refused.reason, refused.metadata) == (
        "WORKSPACE_SUSPENDED",
        {"workspace_id": workspace},
    )
    assert not (await root(ListKeysRequest(workspace_id=workspace))).keys
    resumed = UpdateWorkspaceRequest(workspace=Workspace(id=workspace))
    resumed.update_mask.paths.append("suspended")
    await root(resumed)
    assert (await issue(root, workspace)).key.id
