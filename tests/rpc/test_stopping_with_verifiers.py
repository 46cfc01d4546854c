"""A stop while verifiers hold leases: what is made is spread first, then nothing is granted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import grpc
import pytest

from keyauthority.replica.following import Following
from keyauthority.v1.key_service_pb2 import IssueKeyRequest, IssueKeyResponse, RevokeKeyRequest
from keyauthority.v1.verification_service_pb2 import LeaveRequest, SyncRequest, SyncResponse
from tests.rpc.parts import Api, eventually, issue, reason, refusal
from tests.rpc.syncing import acknowledging, join, joined, spreads, started

MINUTE = timedelta(minutes=1)


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
) -> tuple[asyncio.Future[Any], asyncio.Future[None]]:
    """A revocation that waits for the session, and a stop that waits for the revocation."""
    change = started(root(RevokeKeyRequest(key_id=issued.key.id)))
    await spreads(change)
    stop = started(running.aclose())

    async def refuses_changes() -> bool:
        late = root(IssueKeyRequest(workspace_id=workspace, name="late"))
        return await reason(late) == "SHUTTING_DOWN"

    await eventually(refuses_changes)
    return change, stop


Stopping = tuple["asyncio.Future[Any]", "asyncio.Future[None]"]


async def test_a_change_under_way_is_acknowledged_and_answered(
    root: Api, granted: SyncResponse, stopping: Stopping
) -> None:
    """Verifiers still get through: the last receipt says that all of them know."""
    change, stop = stopping
    told = await root(acknowledging(granted))
    assert list(told.subjects)
    await spreads(change)
    await root(acknowledging(told))
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


@pytest.fixture
def held_close(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The stop stands between the end of grants and the end of the server until this is called."""
    go = asyncio.Event()
    leave = Following.leave

    async def waiting(following: Following) -> None:
        await go.wait()
        await leave(following)

    monkeypatch.setattr(Following, "leave", waiting)
    return go.set


async def test_no_lease_is_granted_after_the_last_change(
    root: Api, granted: SyncResponse, held_close: Callable[[], None], running: AsyncExitStack
) -> None:
    """Polls that are held are answered, and new ones sent elsewhere; whoever leaves may."""
    poll = started(root(acknowledging(granted, MINUTE)))
    await spreads(poll)
    stop = started(running.aclose())
    async with asyncio.timeout(10):  # A third of the lease is twice as much.
        quiet = await poll
    assert (quiet.revision, list(quiet.subjects)) == (granted.revision, [])
    for request in (SyncRequest(), acknowledging(granted)):
        refused = await refusal(root(request))
        assert refused.code is grpc.StatusCode.UNAVAILABLE
        assert refused.reason == "SHUTTING_DOWN"
    await root(LeaveRequest(session_id=granted.session_id))
    held_close()
    await stop


async def test_silent_verifiers_do_not_hold_up_a_stop(
    granted: SyncResponse, running: AsyncExitStack
) -> None:
    """Only changes wait for them: without one it is over, however long their leases are."""
    async with asyncio.timeout(20):
        await running.aclose()


async def test_a_stop_waits_for_what_a_change_waits_for(
    root: Api, granted: SyncResponse, stopping: Stopping
) -> None:
    """A change that nobody has acknowledged is not given up."""
    change, stop = stopping
    await asyncio.sleep(0.3)
    assert not change.done()
    assert not stop.done()
    await root(LeaveRequest(session_id=granted.session_id))
    await change
    await stop
