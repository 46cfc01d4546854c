"""Creating and revoking callers."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from keyauthority.domain.callers import Role
from keyauthority.v1.caller_service_pb2 import (
    Caller,
    CreateCallerRequest,
    CreateCallerResponse,
    ListCallersRequest,
    RevokeCallerRequest,
)
from keyauthority.v1.verification_service_pb2 import VerifyRequest
from keyauthority.v1.wire import timestamp
from keyauthority.v1.workspace_service_pb2 import CreateWorkspaceRequest, ListWorkspacesRequest
from tests.conformance.records import START
from tests.frames import DATA, END_STREAM, Peer, frame
from tests.rpc.parts import (
    METHODS,
    Api,
    Authority,
    eventually,
    invalid_field,
    path_of,
    reason,
    refusal,
    verdict,
)


async def create(api: Api, name: str = "gateway", *roles: int, **fields: Any) -> Any:
    numbers: Any = roles or [1]
    return await api(CreateCallerRequest(name=name, roles=numbers, **fields))


async def test_a_caller_is_what_was_asked_for(root: Api, workspace: str) -> None:
    """The record holds the request's fields and a hint of the token, which is shown once."""
    created: CreateCallerResponse = await create(
        root, "gateway", 3, 1, workspace_ids=[workspace], certificate_name="gateway.internal"
    )
    roles: Any = [1, 3]
    assert created.caller == Caller(
        id=created.caller.id,
        name="gateway",
        roles=roles,
        workspace_ids=[workspace],
        certificate_name="gateway.internal",
        token_hint=f"{created.token[:13]}…{created.token[-4:]}",
        create_time=timestamp(START),
    )
    listed = await root(ListCallersRequest())
    assert created.caller in listed.callers
    assert created.token.encode()[-43:] not in listed.SerializeToString()


async def test_a_new_caller_is_let_in_at_once(root: Api) -> None:
    """Its token works from the moment it is shown."""
    created = await create(root)
    assert await verdict(Api(root.channel, created.token), "x") == "MALFORMED"


async def test_a_revoked_caller_is_refused_at_once(authority: Authority) -> None:
    """When the call returns, the token is worth nothing; which is wrong with it is not said."""
    verifier = await authority.caller(Role.VERIFIER)
    revoked = await authority.root(RevokeCallerRequest(caller_id=verifier.caller_id))
    assert revoked.caller.revoke_time == timestamp(START)
    assert revoked.receipt.revision == 1
    refused = await refusal(verifier(VerifyRequest(secret="x")))
    assert refused.code is grpc.StatusCode.UNAUTHENTICATED
    assert (refused.reason, refused.message) == (
        "CREDENTIAL_INVALID",
        "the credential is not accepted",
    )


@pytest.mark.parametrize("known", [True, False])
async def test_a_call_begun_before_is_refused_when_its_message_comes(
    authority: Authority, *, known: bool
) -> None:
    """Headers sent in time keep no door open, whether the caller was in memory or not."""
    root, name = authority.root, "of a caller that is gone"
    admin = await authority.caller(Role.ADMIN)
    if known:
        await admin(ListCallersRequest())
    message = CreateWorkspaceRequest(name=name).SerializeToString()
    async with Peer(authority.port) as peer:
        await peer.opened()
        path = path_of(METHODS["CreateWorkspaceRequest"])
        peer.call(1, path, ("authorization", f"Bearer {admin.token}"))
        await root(RevokeCallerRequest(caller_id=admin.caller_id))
        whole = b"\0" + len(message).to_bytes(4, "big") + message
        peer.write(frame(DATA, END_STREAM, 1, whole))

        async def over() -> bool:
            return 1 in peer.over

        await eventually(over)
    listed = await root(ListWorkspacesRequest())
    assert name not in [workspace.name for workspace in listed.workspaces]


async def test_revoking_again_changes_nothing(authority: Authority) -> None:
    """A repeat is answered with the same record and the current revision."""
    request = RevokeCallerRequest(caller_id=(await authority.caller(Role.VERIFIER)).caller_id)
    first, again = [await authority.root(request) for _ in range(2)]
    assert first.caller == again.caller
    assert first.receipt.revision == again.receipt.revision


async def test_an_unknown_caller_is_not_found(root: Api) -> None:
    """A typing error is told."""
    refused = await refusal(root(RevokeCallerRequest(caller_id="caller_1")))
    assert (refused.reason, refused.metadata) == ("CALLER_NOT_FOUND", {"caller_id": "caller_1"})


class TestTheLastAdmin:
    async def test_cannot_be_revoked(self, root: Api) -> None:
        """Nobody could undo it: not even the last admin itself may."""
        [only] = (await root(ListCallersRequest())).callers
        refused = await refusal(root(RevokeCallerRequest(caller_id=only.id)))
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (refused.reason, refused.metadata) == ("LAST_ADMIN", {"caller_id": only.id})
        assert (await root(ListCallersRequest())).callers == [only]

    async def test_is_whoever_is_left(self, authority: Authority) -> None:
        """Root may go once another admin is there; then that one may not."""
        [root_itself] = (await authority.root(ListCallersRequest())).callers
        admin = await authority.caller(Role.ADMIN)
        await admin(RevokeCallerRequest(caller_id=root_itself.id))
        assert await reason(authority.root(ListCallersRequest())) == "CREDENTIAL_INVALID"
        assert await reason(admin(RevokeCallerRequest(caller_id=admin.caller_id))) == "LAST_ADMIN"


class TestNames:
    async def test_are_taken(self, root: Api) -> None:
        """The audit names callers: no two at a time may share a name."""
        await create(root, "gateway")
        refused = await refusal(create(root, "gateway"))
        assert refused.code is grpc.StatusCode.ALREADY_EXISTS
        assert (refused.reason, refused.metadata) == ("CALLER_NAME_TAKEN", {"name": "gateway"})

    async def test_of_certificates_are_taken(self, root: Api) -> None:
        """A certificate stands for one caller."""
        await create(root, "one", certificate_name="gateway.internal")
        refused = await refusal(create(root, "two", certificate_name="gateway.internal"))
        assert refused.code is grpc.StatusCode.ALREADY_EXISTS
        assert refused.reason == "CERTIFICATE_NAME_TAKEN"
        assert refused.metadata == {"certificate_name": "gateway.internal"}

    async def test_of_revoked_callers_are_free(self, root: Api) -> None:
        """A caller can be replaced under its name, by one with another token."""
        old = await create(root, "gateway", certificate_name="gateway.internal")
        await root(RevokeCallerRequest(caller_id=old.caller.id))
        new = await create(root, "gateway", certificate_name="gateway.internal")
        assert new.caller.id != old.caller.id
        assert new.token != old.token

    async def test_several_callers_need_no_certificate(self, root: Api) -> None:
        """Having none is no name."""
        await create(root, "one")
        await create(root, "two")


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "bell\a"}),
        ("roles", {"roles": []}),
        ("roles", {"roles": [1, 1]}),
        ("roles", {"roles": [0]}),
        ("roles", {"roles": [5]}),
        ("workspace_ids", {"workspace_ids": ["ws_1", "ws_1"]}),
        ("workspace_ids", {"workspace_ids": [f"ws_{number}" for number in range(101)]}),
        ("certificate_name", {"certificate_name": "x" * 254}),
        ("certificate_name", {"certificate_name": "two names"}),
        ("certificate_name", {"certificate_name": "münchen.de"}),
    ],
)
async def test_a_caller_keeps_to_its_limits(root: Api, field: str, fields: dict[str, Any]) -> None:
    """What breaks one is refused by name."""
    with invalid_field(field):
        await root(CreateCallerRequest(**{"name": "gateway", "roles": [1], **fields}))


async def test_a_caller_is_bound_to_workspaces_that_exist(root: Api, workspace: str) -> None:
    """A misspelt binding would bind to nothing."""
    refused = await refusal(create(root, workspace_ids=[workspace, "ws_1"]))
    assert (refused.reason, refused.metadata) == ("WORKSPACE_NOT_FOUND", {"workspace_id": "ws_1"})
