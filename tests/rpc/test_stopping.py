"""What becomes of calls when the authority stops: what is made is spread, then nothing is granted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client import CollectorRegistry

from keyauthority.rpc.health import Health
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.server import serving
from keyauthority.storage.memory import MemoryStore
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyRequest,
    IssueKeyResponse,
    RevokeKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import LeaveRequest, SyncRequest, SyncResponse
from tests.conformance.records import ManualClock
from tests.rpc.books import GatedBooks
from tests.rpc.parts import Api, Authority, eventually, issue, reason, refusal, verdict
from tests.rpc.syncing import acknowledging, join, joined, spreads, started

MINUTE = timedelta(minutes=1)

Stopping = tuple["asyncio.Future[Any]", "asyncio.Future[None]"]


@pytest.fixture
def lease() -> timedelta:
    return MINUTE


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


@pytest.fixture
async def granted(root: Api) -> SyncResponse:
    """A session that knows of everything."""
    return await joined(root)


@pytest.fixture
async def stopping(
    root: Api,
    workspace: str,
    issued: IssueKeyResponse,
    granted: SyncResponse,
    running: AsyncExitStack,
) -> AsyncIterator[Stopping]:
    """A revocation that waits for the session, and a stop that waits for the revocation."""
    change = started(root(RevokeKeyRequest(key_id=issued.key.id)))
    await spreads(change)
    stop = started(running.aclose())

    async def refuses_changes() -> bool:
        late = root(IssueKeyRequest(workspace_id=workspace, name="late"))
        return await reason(late) == "SHUTTING_DOWN"

    await eventually(refuses_changes)
    yield change, stop
    with suppress(grpc.aio.AioRpcError):
        await root(LeaveRequest(session_id=granted.session_id))
    await stop


async def test_a_change_under_way_is_finished_and_answered(
    root: Api, granted: SyncResponse, stopping: Stopping
) -> None:
    """The stop waits for it, and for who has not acknowledged it; its caller gets its receipt."""
    change, stop = stopping
    await spreads(stop)
    assert not change.done()
    await root(LeaveRequest(session_id=granted.session_id))
    assert (await change).receipt.revision == 1
    await stop


async def test_a_new_change_is_refused_while_others_finish(
    root: Api, workspace: str, stopping: Stopping
) -> None:
    """Health has said so by then; who asks all the same is told to go elsewhere."""
    stub: Any = HealthStub(root.channel)
    health = await stub.Check(HealthCheckRequest())
    assert health.status == HealthCheckResponse.NOT_SERVING
    refused = await refusal(root(IssueKeyRequest(workspace_id=workspace, name="late")))
    assert refused.code is grpc.StatusCode.UNAVAILABLE
    assert refused.reason == "SHUTTING_DOWN"


async def test_questions_are_answered_while_changes_finish(
    root: Api, issued: IssueKeyResponse, stopping: Stopping
) -> None:
    """A verifier is served to the last, by the newest truth."""
    assert await verdict(root, issued.secret) == "REVOKED"
    assert (await root(GetKeyRequest(key_id=issued.key.id))).key.id == issued.key.id


async def test_health_never_says_serving_again() -> None:
    """A look at the books that ends after the stop has begun takes nothing back."""
    store, metrics = MemoryStore(ManualClock()), CallMetrics(CollectorRegistry())
    health = Health(store, ["keyauthority.v1.KeyService"], lambda: True, metrics)
    health.report(healthy=True)
    context: Any = None
    responses = health.Watch(HealthCheckRequest(), context)
    statuses = [(await anext(responses)).status]
    health.leave()
    health.report(healthy=True)
    statuses += [response.status async for response in responses]
    assert statuses == [HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING]
    answer = await health.Check(HealthCheckRequest(), context)
    assert answer.status == HealthCheckResponse.NOT_SERVING


async def test_an_abandoned_change_is_finished_before_the_stop(
    authority: Authority,
    issued: IssueKeyResponse,
    granted: SyncResponse,
    stopping: Stopping,
    running: AsyncExitStack,
    clock: ManualClock,
) -> None:
    """Its caller has left, the authority stops: the change is in the books of the next start."""
    change, stop = stopping
    change.cancel()
    await spreads(stop)
    await authority.root(LeaveRequest(session_id=granted.session_id))
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


async def test_a_change_under_way_is_acknowledged_and_answered(
    root: Api, granted: SyncResponse, stopping: Stopping
) -> None:
    """Verifiers still get through: the last receipt says that all of them know."""
    change, stop = stopping
    news = await root(acknowledging(granted))
    assert list(news.subjects)
    await spreads(change)
    await root(acknowledging(news))
    assert (await change).receipt.leases_waited_out == 0
    await stop


async def test_a_verifier_may_leave_meanwhile(
    root: Api, granted: SyncResponse, stopping: Stopping
) -> None:
    """And is not waited for any more."""
    change, stop = stopping
    await root(LeaveRequest(session_id=granted.session_id))
    assert (await change).receipt.sessions_acknowledged == 1
    await stop


async def test_a_verifier_may_join_meanwhile(
    root: Api, granted: SyncResponse, stopping: Stopping
) -> None:
    """It is served as long as changes are under way, and waited for like the others."""
    change, stop = stopping
    late = await join(root)
    await root(LeaveRequest(session_id=granted.session_id))
    await spreads(change)
    await root(acknowledging(late))
    await change
    await stop


async def test_no_lease_is_granted_after_the_last_change(
    root: Api, granted: SyncResponse, books: GatedBooks, running: AsyncExitStack
) -> None:
    """Polls that are held are answered, and new ones sent elsewhere; whoever leaves may."""
    poll = started(root(acknowledging(granted, MINUTE)))
    await spreads(poll)
    # The stop stands between the end of grants and the end of the server until this is opened.
    books.leaving.close()
    stop = started(running.aclose())
    async with asyncio.timeout(10):  # A third of the lease is twice as much.
        quiet = await poll
    assert (quiet.revision, list(quiet.subjects)) == (granted.revision, [])
    for request in (SyncRequest(), acknowledging(granted)):
        refused = await refusal(root(request))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "SHUTTING_DOWN"
    await root(LeaveRequest(session_id=granted.session_id))
    books.leaving.open()
    await stop


async def test_silent_verifiers_do_not_hold_up_a_stop(
    granted: SyncResponse, running: AsyncExitStack
) -> None:
    """Only changes wait for them: without one it is over, however long their leases are."""
    async with asyncio.timeout(20):
        await running.aclose()
