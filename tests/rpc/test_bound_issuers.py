"""An issuer bound to a workspace sees nothing of the others."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from keyauthority.domain.callers import Role
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyRequest,
    IssueKeyResponse,
    ListKeysRequest,
    LookupKeyRequest,
    RevokeKeyRequest,
    RevokeKeysRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from tests.rpc.parts import Api, Authority, issue, refusal, verdict


@pytest.fixture
async def bound(authority: Authority, workspace: str) -> Api:
    """An issuer of `workspace` alone."""
    return await authority.caller(Role.ISSUER, workspace_ids=[workspace])


@pytest.fixture
async def foreign(authority: Authority) -> IssueKeyResponse:
    """A key of another workspace."""
    return await issue(authority.root, await authority.workspace("other"))


async def test_it_does_everything_with_its_own_keys(bound: Api, workspace: str) -> None:
    """Within its workspace it is an issuer like any other."""
    issued = await issue(bound, workspace)
    key_id = issued.key.id
    assert (await bound(GetKeyRequest(key_id=key_id))).key == issued.key
    assert (await bound(LookupKeyRequest(secret=issued.secret))).key == issued.key
    await bound(UpdateKeyRequest(key=Key(id=key_id, name="after")))
    await bound(RotateKeyRequest(key_id=key_id))
    await bound(RevokeKeyRequest(key_id=key_id))
    await bound(RevokeKeysRequest(key_ids=[key_id]))


async def test_another_workspaces_key_is_as_if_it_were_not(
    authority: Authority, bound: Api, workspace: str, foreign: IssueKeyResponse
) -> None:
    """Every method answers as for an id that doesn't exist, word for word, and does nothing."""
    own = (await issue(bound, workspace)).key.id

    def requests(key_id: str) -> list[Message]:
        return [
            GetKeyRequest(key_id=key_id),
            UpdateKeyRequest(key=Key(id=key_id, name="mine now")),
            RotateKeyRequest(key_id=key_id),
            RevokeKeyRequest(key_id=key_id),
            RevokeKeysRequest(key_ids=[own, key_id]),
        ]

    nowhere = "key_0123456789ABCDEF"
    for there, not_there in zip(requests(foreign.key.id), requests(nowhere), strict=True):
        refused, missing = await refusal(bound(there)), await refusal(bound(not_there))
        assert refused.reason == "KEY_NOT_FOUND"
        assert refused.metadata == {"key_id": foreign.key.id}
        assert (refused.code, refused.message) == (missing.code, missing.message)
    assert (await authority.root(GetKeyRequest(key_id=foreign.key.id))).key == foreign.key
    assert await verdict(authority.root, foreign.secret) == "VALID"


async def test_another_workspaces_secret_leads_nowhere(
    bound: Api, foreign: IssueKeyResponse
) -> None:
    """Even who holds the secret doesn't learn whose it is."""
    refused = await refusal(bound(LookupKeyRequest(secret=foreign.secret)))
    assert refused.reason == "KEY_NOT_FOUND"
    assert foreign.key.id not in str(refused)


async def test_another_workspace_gets_no_key(bound: Api, foreign: IssueKeyResponse) -> None:
    """As if the workspace did not exist."""
    workspace_id = foreign.key.workspace_id
    for request in (
        IssueKeyRequest(workspace_id=workspace_id, name="mine"),
        ListKeysRequest(workspace_id=workspace_id),
    ):
        refused = await refusal(bound(request))
        assert refused.reason == "WORKSPACE_NOT_FOUND"
        assert refused.metadata == {"workspace_id": workspace_id}


@pytest.mark.usefixtures("foreign")
async def test_it_lists_its_own_keys(bound: Api, workspace: str) -> None:
    """Without naming a workspace it gets what it may see, and nothing else, page after page."""
    own = {(await issue(bound, workspace)).key.id for _ in range(3)}
    first = await bound(ListKeysRequest(page_size=2))
    second = await bound(ListKeysRequest(page_size=2, page_token=first.next_page_token))
    assert {key.id for key in (*first.keys, *second.keys)} == own
    assert not second.next_page_token


async def test_it_may_be_bound_to_several(authority: Authority, workspace: str) -> None:
    """Each of its workspaces, and no third."""
    second, third = [await authority.workspace(name) for name in ("second", "third")]
    bound = await authority.caller(Role.ISSUER, workspace_ids=[second, workspace])
    for workspace_id in (workspace, second, third):
        await issue(authority.root, workspace_id)
    listed = await bound(ListKeysRequest())
    assert {key.workspace_id for key in listed.keys} == {workspace, second}
