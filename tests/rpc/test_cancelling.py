"""A caller may leave at any moment: a change is made whole, or not at all."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
from prometheus_client import CollectorRegistry

from keyauthority.domain.callers import Actor
from keyauthority.rpc.keys import KeyServicer
from keyauthority.rpc.service import Service
from keyauthority.v1.audit_service_pb2 import ListAuditEntriesRequest
from keyauthority.v1.key_service_pb2 import (
    IssueKeyRequest,
    ListKeysRequest,
    RevokeKeyRequest,
    RevokeKeyResponse,
)
from tests.rpc.parts import (
    Api,
    Gate,
    eventually,
    issue,
    service,
    services_with,
    until_cancelled,
    verdict,
)

CANCELS = 5_000 if os.environ.get("TEST_LONG") else 60


@pytest.fixture
def gate() -> Gate:
    """What calls that issue or revoke a key go through before they begin."""
    return Gate()


@pytest.fixture
def services(gate: Gate) -> Sequence[Service]:
    class Gated(KeyServicer):
        async def IssueKey(self, request: IssueKeyRequest, actor: Actor) -> bytes:
            await gate.go_through()
            return await super().IssueKey(request, actor)

        async def RevokeKey(self, request: RevokeKeyRequest, actor: Actor) -> RevokeKeyResponse:
            await gate.go_through()
            return await super().RevokeKey(request, actor)

    return services_with(replace(service("KeyService"), servicer=Gated))


async def test_a_revocation_goes_on_without_its_caller(
    root: Api, workspace: str, gate: Gate, registry: CollectorRegistry
) -> None:
    """Whoever asked to revoke and left has revoked."""
    issued = await issue(root, workspace)
    gate.close()
    gate.reached.clear()
    call = root(RevokeKeyRequest(key_id=issued.key.id))
    await gate.reached.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until_cancelled(registry, "KeyService.RevokeKey")
    gate.open()

    async def revoked() -> bool:
        return await verdict(root, issued.secret) == "REVOKED"

    await eventually(revoked)


async def test_a_change_goes_on_past_its_callers_deadline(
    root: Api, workspace: str, gate: Gate
) -> None:
    """The caller hears DEADLINE_EXCEEDED; a repeat with the same id tells how it ended."""
    gate.close()
    request = IssueKeyRequest(workspace_id=workspace, name="ci", request_id="id-1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await root(request, timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert gate.reached.is_set()
    gate.open()

    async def issued() -> bool:
        return len((await root(ListKeysRequest(workspace_id=workspace))).keys) == 1

    await eventually(issued)
    assert await verdict(root, (await root(request)).secret) == "VALID"
    assert await issued()


async def leave(call: Any) -> None:
    await asyncio.sleep(random.uniform(0, 0.012))
    call.cancel()
    await asyncio.wait([asyncio.ensure_future(call.code())])


@pytest.mark.long
async def test_keys_issued_for_those_who_left_are_whole(root: Api, workspace: str) -> None:
    """Each has its secret, its audit entry and its answer for the repeat, once."""
    requests = [
        IssueKeyRequest(workspace_id=workspace, name=f"key {number}", request_id=f"id-{number}")
        for number in range(CANCELS)
    ]
    for request in requests:
        await leave(root(request))
    answers = [await root(request) for request in requests]
    for answer in answers:
        assert await verdict(root, answer.secret) == "VALID"
    listed = await all_keys(root, workspace)
    assert Counter(key.id for key in listed) == Counter(answer.key.id for answer in answers)
    for answer in answers:
        entries = await root(ListAuditEntriesRequest(subject=answer.key.id))
        assert len(entries.entries) == 1


@pytest.mark.long
async def test_keys_revoked_by_those_who_left_are_revoked_or_not(root: Api, workspace: str) -> None:
    """State, verdict and audit agree about every key, and no revision is lost or given twice."""
    issued = [await issue(root, workspace, str(number)) for number in range(CANCELS)]
    for one in issued:
        await leave(root(RevokeKeyRequest(key_id=one.key.id)))
    await root(RevokeKeyRequest(key_id=(await issue(root, workspace)).key.id))
    revisions = []
    for one in issued:
        entries = (await root(ListAuditEntriesRequest(subject=one.key.id))).entries
        changes = [entry for entry in entries if entry.action == "KeyService.RevokeKey"]
        was_revoked = await verdict(root, one.secret) == "REVOKED"
        assert len(changes) == was_revoked
        revisions += [entry.revision for entry in changes]
    assert revisions == list(range(1, len(revisions) + 1))


async def all_keys(api: Api, workspace: str) -> list[Any]:
    request, keys = ListKeysRequest(workspace_id=workspace, page_size=1_000), []
    while True:
        page = await api(request)
        keys += page.keys
        if not page.next_page_token:
            return keys
        request.page_token = page.next_page_token
