"""Reading many keys or workspaces in one call."""

from __future__ import annotations

from typing import Any

import pytest

from keyauthority.domain.callers import Role
from keyauthority.v1.key_service_pb2 import BatchGetKeysRequest, GetKeyRequest
from keyauthority.v1.verification_service_pb2 import VerifyRequest
from keyauthority.v1.workspace_service_pb2 import (
    BatchGetWorkspacesRequest,
    GetWorkspaceRequest,
)
from tests.rpc.parts import Api, Authority, invalid_field, issue, reason

NOWHERE = "0123456789ABCDEF"


async def test_keys_come_in_the_order_asked_for(root: Api, workspace: str) -> None:
    """Each as it is answered alone, also when it was last used; one that is missing is left out."""
    issued = [await issue(root, workspace, str(number)) for number in range(3)]
    await root(VerifyRequest(secret=issued[2].secret))
    alone = [(await root(GetKeyRequest(key_id=one.key.id))).key for one in issued]
    ids = [issued[2].key.id, f"key_{NOWHERE}", issued[0].key.id]

    together = await root(BatchGetKeysRequest(key_ids=ids))

    assert list(together.keys) == [alone[2], alone[0]]
    assert together.keys[0].HasField("last_used_time")


async def test_another_workspaces_keys_are_left_out(authority: Authority, workspace: str) -> None:
    """As if they were not; who is bound to no workspace sees all."""
    own = await issue(authority.root, workspace)
    foreign = await issue(authority.root, await authority.workspace("other"))
    bound = await authority.caller(Role.ISSUER, workspace_ids=[workspace])
    request = BatchGetKeysRequest(key_ids=[foreign.key.id, own.key.id])

    assert [one.id for one in (await bound(request)).keys] == [own.key.id]
    assert [one.id for one in (await authority.root(request)).keys] == list(request.key_ids)
    assert not (await bound(BatchGetKeysRequest(key_ids=[foreign.key.id]))).keys


async def test_workspaces_come_in_the_order_asked_for(authority: Authority) -> None:
    """Each as it is answered alone; one that is missing is left out."""
    root = authority.root
    first, second = [await authority.workspace(name) for name in ("acme", "umbrella")]
    ids = [second, f"ws_{NOWHERE}", first]

    together = await root(BatchGetWorkspacesRequest(workspace_ids=ids))

    assert list(together.workspaces) == [
        (await root(GetWorkspaceRequest(workspace_id=one))).workspace for one in (second, first)
    ]


@pytest.mark.parametrize("number", [0, 1_001])
async def test_none_and_too_many_are_refused(root: Api, number: int) -> None:
    """From one to a thousand are answered."""
    ids = [f"{place:016}" for place in range(number)]
    with invalid_field("key_ids"):
        await root(BatchGetKeysRequest(key_ids=ids))
    with invalid_field("workspace_ids"):
        await root(BatchGetWorkspacesRequest(workspace_ids=ids))
    most = [f"{place:016}" for place in range(1_000)]
    assert not (await root(BatchGetKeysRequest(key_ids=most))).keys
    assert not (await root(BatchGetWorkspacesRequest(workspace_ids=most))).workspaces


@pytest.mark.parametrize(
    ("request_of", "field"),
    [
        (lambda ids: BatchGetKeysRequest(key_ids=ids), "key_ids"),
        (lambda ids: BatchGetWorkspacesRequest(workspace_ids=ids), "workspace_ids"),
    ],
)
async def test_one_twice_is_refused(root: Api, request_of: Any, field: str) -> None:
    """The answer would be shorter than the question for no other reason."""
    with invalid_field(field):
        await root(request_of(["a", "b", "a"]))


async def test_batches_are_for_the_role_of_their_service(authority: Authority) -> None:
    """As reading one of them is."""
    issuer = await authority.caller(Role.ISSUER)
    admin = await authority.caller(Role.ADMIN)
    assert await reason(issuer(BatchGetWorkspacesRequest(workspace_ids=["ws_1"]))) == "ROLE_MISSING"
    assert await reason(admin(BatchGetKeysRequest(key_ids=["key_1"]))) == "ROLE_MISSING"
