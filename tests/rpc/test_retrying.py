"""Requests that can be repeated safely (AIP-155)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from keyauthority.domain.callers import Role
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.key_service_pb2 import (
    IssueKeyRequest,
    IssueKeyResponse,
    ListKeysRequest,
    RevokeKeyRequest,
    RotateKeyRequest,
)
from keyauthority.v1.workspace_service_pb2 import UpdateWorkspaceRequest, Workspace
from tests.conformance.records import ManualClock
from tests.rpc.parts import Api, Authority, invalid_field, issue, reason, refusal, verdict

LABELS = {"z": "1", "a": "2", "m": "3"}


def issuing(workspace: str, **fields: Any) -> IssueKeyRequest:
    given: dict[str, Any] = {"name": "ci", "labels": LABELS, "request_id": "id-1", **fields}
    return IssueKeyRequest(workspace_id=workspace, **given)


def same(one: Message, other: Message) -> bool:
    return one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


async def number_of_keys(api: Api, workspace: str) -> int:
    return len((await api(ListKeysRequest(workspace_id=workspace, page_size=1_000))).keys)


async def test_a_repeat_has_the_same_answer(root: Api, workspace: str, clock: ManualClock) -> None:
    """Secret included, to the byte, whatever the order of the labels; and only one key is made."""
    first = await root(issuing(workspace))
    clock.time += timedelta(minutes=9, seconds=59)
    again = await root(issuing(workspace, labels=dict(reversed(LABELS.items()))))
    assert same(first, again)
    assert again.secret
    assert await number_of_keys(root, workspace) == 1


async def test_labels_have_no_order(root: Api, workspace: str) -> None:
    """A client may write the same labels in another order the second time."""
    labels = [IssueKeyRequest(labels={f"label {number}": "x"}) for number in range(16)]
    rest = IssueKeyRequest(workspace_id=workspace, name="ci", request_id="id-1")
    channel: Any = root.channel
    issue_key = channel.unary_unary("/keyauthority.v1.KeyService/IssueKey")
    secrets = set()
    for order in (labels, labels[::-1], labels[8:] + labels[:8]):
        sent = b"".join(part.SerializeToString() for part in (rest, *order))
        answer = await issue_key(sent, metadata=root.metadata)
        secrets.add(IssueKeyResponse.FromString(answer).secret)
    assert len(secrets) == 1


async def test_a_repeat_leaves_no_second_audit_entry(root: Api, workspace: str) -> None:
    """One key, one entry."""
    issued = await root(issuing(workspace))
    await root(issuing(workspace))
    listed = await root(ListAuditEntriesRequest(subject=issued.key.id))
    assert len(listed.entries) == 1


async def test_a_repeat_is_answered_though_the_world_has_changed(root: Api, workspace: str) -> None:
    """Who lost the first answer gets it, even if the workspace was suspended since."""
    first = await root(issuing(workspace))
    await root(UpdateWorkspaceRequest(workspace=Workspace(id=workspace, suspended=True)))
    assert same(await root(issuing(workspace)), first)


@pytest.mark.parametrize(
    "fields",
    [{"name": "cd"}, {"labels": {}}, {"scopes": ["a"]}, {"ttl": Duration(seconds=1)}],
)
async def test_an_id_stands_for_one_request(
    root: Api, workspace: str, fields: dict[str, Any]
) -> None:
    """The same id with another body is a mistake of the caller's, and makes nothing."""
    await root(issuing(workspace))
    refused = await refusal(root(issuing(workspace, **fields)))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert (refused.reason, refused.metadata) == ("REQUEST_ID_REUSED", {"request_id": "id-1"})
    assert await number_of_keys(root, workspace) == 1


async def test_an_id_stands_for_one_method(root: Api, workspace: str) -> None:
    """An id used to issue is used up for rotations as well."""
    issued = await root(issuing(workspace))
    rotation = RotateKeyRequest(key_id=issued.key.id, request_id="id-1")
    assert await reason(root(rotation)) == "REQUEST_ID_REUSED"


async def test_a_refused_request_uses_no_id(root: Api, workspace: str) -> None:
    """A failed attempt can be corrected under the same id."""
    with invalid_field("name"):
        await root(issuing(workspace, name=""))
    assert (await root(issuing(workspace))).secret


async def test_ids_are_their_callers(authority: Authority, root: Api, workspace: str) -> None:
    """Two callers that chose the same id get a key each, never one another's secret."""
    other = await authority.caller(Role.ISSUER)
    mine, theirs = await root(issuing(workspace)), await other(issuing(workspace))
    assert mine.secret != theirs.secret
    assert mine.key.id != theirs.key.id
    assert same(await other(issuing(workspace)), theirs)


async def test_after_ten_minutes_an_id_is_new(
    root: Api, workspace: str, clock: ManualClock
) -> None:
    """The answer isn't kept longer: the same request then makes another key."""
    first = await root(issuing(workspace))
    clock.time += timedelta(minutes=10)
    second = await root(issuing(workspace))
    assert second.key.id != first.key.id
    assert same(await root(issuing(workspace)), second)


async def test_without_an_id_each_call_is_a_request(root: Api, workspace: str) -> None:
    """Only who asks for it gets repeats recognised."""
    one, two = [await root(issuing(workspace, request_id="")) for _ in range(2)]
    assert one.secret != two.secret


async def test_duplicates_at_the_same_time_make_one_key(root: Api, workspace: str) -> None:
    """However many copies of a request arrive together."""
    answers = await asyncio.gather(*(root(issuing(workspace)) for _ in range(20)))
    assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert await number_of_keys(root, workspace) == 1


@pytest.mark.parametrize("request_id", ["x" * 65, "two words", "ü", "\n"])
async def test_an_odd_id_is_refused(root: Api, workspace: str, request_id: str) -> None:
    """An id has 1 to 64 visible characters."""
    with invalid_field("request_id"):
        await root(issuing(workspace, request_id=request_id))
    with invalid_field("request_id"):
        key_id = (await issue(root, workspace)).key.id
        await root(RotateKeyRequest(key_id=key_id, request_id=request_id))


class TestARotation:
    @pytest.fixture
    async def issued(self, root: Api, workspace: str) -> IssueKeyResponse:
        return await issue(root, workspace)

    async def test_has_the_same_answer_when_repeated(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """A repeat rotates nothing further: the secret of the first answer still acts."""
        request = RotateKeyRequest(key_id=issued.key.id, request_id="id-1")
        first = await root(request)
        again = await root(request)
        assert same(first.key, again.key)
        assert first.secret == again.secret
        assert len(again.key.secrets) == 2
        assert await verdict(root, first.secret) == "VALID"

    async def test_repeated_has_the_receipt_of_its_own_wait(
        self, root: Api, workspace: str, issued: IssueKeyResponse
    ) -> None:
        """The repeat waits for what is current now, and says so."""
        request = RotateKeyRequest(key_id=issued.key.id, request_id="id-1")
        first = await root(request)
        other = await issue(root, workspace)
        changed = await root(RevokeKeyRequest(key_id=other.key.id))
        again = await root(request)
        assert again.receipt.revision == changed.receipt.revision > first.receipt.revision
        assert (again.secret, again.key) == (first.secret, first.key)

    async def test_of_the_same_id_but_another_overlap_is_refused(
        self, root: Api, issued: IssueKeyResponse
    ) -> None:
        """The overlap is part of the request."""
        await root(RotateKeyRequest(key_id=issued.key.id, request_id="id-1"))
        longer = RotateKeyRequest(
            key_id=issued.key.id, overlap=Duration(seconds=1), request_id="id-1"
        )
        assert await reason(root(longer)) == "REQUEST_ID_REUSED"
