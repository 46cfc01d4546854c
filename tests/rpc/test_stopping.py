"""What becomes of calls when the authority stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.domain.sessions import Receipt
from keyauthority.replica.fence import SessionFence
from keyauthority.rpc.health import Health
from keyauthority.server import serving
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyRequest,
    IssueKeyResponse,
    RevokeKeyRequest,
)
from tests.conformance.records import ManualClock
from tests.rpc.parts import Api, Authority, eventually, issue, refusal, verdict


class HeldFence:
    """A fence that opens when the test says so."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def wait(self, _: object, revision: int) -> Receipt:
        self.reached.set()
        await self.open.wait()
        return Receipt(revision)


@pytest.fixture
async def fence(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HeldFence]:
    fence = HeldFence()

    async def wait(self: SessionFence, revision: int) -> Receipt:
        return await fence.wait(self, revision)

    monkeypatch.setattr(SessionFence, "wait", wait)
    yield fence
    fence.open.set()


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


async def health(api: Api) -> Any:
    stub: Any = HealthStub(api.channel)
    return (await stub.Check(HealthCheckRequest())).status


@pytest.fixture
async def stopping(
    fence: HeldFence, authority: Authority, issued: IssueKeyResponse, running: AsyncExitStack
) -> tuple[Any, asyncio.Task[None]]:
    """A revocation under way, and the stop that waits for it."""
    revoking = authority.root(RevokeKeyRequest(key_id=issued.key.id))
    await fence.reached.wait()
    stop = asyncio.create_task(running.aclose())

    async def announced() -> bool:
        return bool(await health(authority.root) == HealthCheckResponse.NOT_SERVING)

    await eventually(announced)
    return revoking, stop


Stopping = tuple[Any, "asyncio.Task[None]"]


async def test_a_change_under_way_is_finished_and_answered(
    stopping: Stopping, fence: HeldFence
) -> None:
    """The stop waits for it; its caller gets its receipt."""
    revoking, stop = stopping
    await asyncio.sleep(0.05)
    assert not stop.done()
    fence.open.set()
    assert (await revoking).receipt.revision == 1
    await stop


async def test_a_new_change_is_refused_while_others_finish(
    root: Api, workspace: str, stopping: Stopping, fence: HeldFence
) -> None:
    """Health has said so by then; who asks all the same is told to go elsewhere."""
    refused = await refusal(root(IssueKeyRequest(workspace_id=workspace, name="late")))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "SHUTTING_DOWN"


async def test_questions_are_answered_while_changes_finish(
    root: Api, issued: IssueKeyResponse, stopping: Stopping
) -> None:
    """A verifier is served to the last, by the newest truth."""
    assert await verdict(root, issued.secret) == "REVOKED"
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key.id == issued.key.id


async def test_health_never_says_serving_again(
    authority: Authority, running: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look at the books that ends after the stop has begun takes nothing back."""
    left = Health.leave

    def leave_then_look(health: Health) -> None:
        left(health)
        health.report(healthy=True)

    monkeypatch.setattr(Health, "leave", leave_then_look)
    stub: Any = HealthStub(authority.root.channel)
    statuses = stub.Watch(HealthCheckRequest())
    told = [(await anext(aiter(statuses))).status]
    await running.aclose()
    told += [response.status async for response in statuses]
    assert told == [HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING]


async def test_an_abandoned_change_is_finished_before_the_stop(
    authority: Authority,
    issued: IssueKeyResponse,
    stopping: Stopping,
    fence: HeldFence,
    running: AsyncExitStack,
    clock: ManualClock,
) -> None:
    """Its caller has left, the authority stops: the change is in the books of the next start."""
    revoking, stop = stopping
    revoking.cancel()
    await asyncio.sleep(0.05)
    assert not stop.done()
    fence.open.set()
    await stop
    port = await running.enter_async_context(serving(authority.settings, clock))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        root = Api(channel, authority.root.token)
        assert await verdict(root, issued.secret) == "REVOKED"


async def test_a_stop_does_not_wait_for_watchers(
    authority: Authority, running: AsyncExitStack
) -> None:
    """Whoever watches health hears of the stop, and the stop doesn't wait for its leaving."""
    stub: Any = HealthStub(authority.root.channel)
    watch = stub.Watch(HealthCheckRequest())
    statuses = aiter(watch)
    assert (await anext(statuses)).status == HealthCheckResponse.SERVING
    async with asyncio.timeout(4):
        await running.aclose()
    assert (await anext(statuses)).status == HealthCheckResponse.NOT_SERVING
    assert await watch.code() is grpc.StatusCode.OK


async def test_calls_after_the_stop_find_nobody(
    authority: Authority, running: AsyncExitStack
) -> None:
    """The port is closed."""
    await running.aclose()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await authority.root(GetKeyRequest(key_id="key_1"))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
