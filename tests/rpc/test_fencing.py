"""Whom a change waits for before it is answered, and how long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from keyauthority.base.process.clocks import boottime
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.callers import Actor, Role
from keyauthority.rpc.admission import Room
from keyauthority.rpc.keys import KeyServicer
from keyauthority.rpc.service import Service
from keyauthority.server import Pace
from keyauthority.v1.caller_service_pb2 import (
    CALLER_ROLE_ISSUER,
    CreateCallerRequest,
    RevokeCallerRequest,
)
from keyauthority.v1.key_pb2 import Key
from keyauthority.v1.key_service_pb2 import (
    GetKeyRequest,
    IssueKeyResponse,
    RevokeKeyRequest,
    RevokeKeysRequest,
    RotateKeyRequest,
    UpdateKeyRequest,
)
from keyauthority.v1.verification_service_pb2 import LeaveRequest
from keyauthority.v1.workspace_service_pb2 import (
    CreateWorkspaceRequest,
    UpdateWorkspaceRequest,
    Workspace,
)
from tests.rpc.parts import (
    Api,
    Authority,
    Gate,
    LeaseClock,
    issue,
    refusal,
    service,
    services_with,
    verdict,
)
from tests.rpc.syncing import (
    acknowledging,
    join,
    joined,
    sessions,
    spreads,
    started,
    until_removed,
)

MINUTE = timedelta(minutes=1)
SHORT = timedelta(milliseconds=300)


@pytest.fixture
def lease() -> timedelta:
    """Longer than most of these tests: nothing is waited out."""
    return MINUTE


@pytest.fixture
async def issued(root: Api, workspace: str) -> IssueKeyResponse:
    return await issue(root, workspace)


@pytest.fixture
def revocation(issued: IssueKeyResponse) -> RevokeKeyRequest:
    return RevokeKeyRequest(key_id=issued.key.id)


class TestAcknowledged:
    async def test_by_all_it_is_over(self, root: Api, revocation: RevokeKeyRequest) -> None:
        """Not before the last one; the receipt counts them, and the authority's own."""
        granted = [await joined(root) for _ in range(3)]
        change = started(root(revocation))
        for one in granted:
            await spreads(change)
            await root(acknowledging(await root(acknowledging(one))))
        receipt = (await change).receipt
        assert (receipt.revision, receipt.sessions_acknowledged) == (1, 4)
        assert receipt.leases_waited_out == 0
        assert receipt.waited.ToTimedelta() > timedelta(milliseconds=200)

    async def test_not_by_hearing_of_it(self, root: Api, revocation: RevokeKeyRequest) -> None:
        """Told is not applied: only the next request says so."""
        granted = await joined(root)
        change = started(root(revocation))
        for _ in range(2):
            news = await root(acknowledging(granted))
            await spreads(change)
        await root(acknowledging(news))
        assert (await change).receipt.sessions_acknowledged == 2

    async def test_nor_by_joining(self, root: Api, revocation: RevokeKeyRequest) -> None:
        """Whoever joins meanwhile has acknowledged what it claims, and that is nothing."""
        silent = await joined(root)
        change = started(root(revocation))
        await spreads(change)
        granted = await join(root)
        await root(LeaveRequest(session_id=silent.session_id))
        await spreads(change)
        await root(acknowledging(granted))
        await change

    async def test_a_session_that_left_is_not_waited_for(
        self, root: Api, revocation: RevokeKeyRequest
    ) -> None:
        """It answers from its cache no more."""
        granted = await joined(root)
        change = started(root(revocation))
        await spreads(change)
        await root(LeaveRequest(session_id=granted.session_id))
        assert (await change).receipt.sessions_acknowledged == 1
        await root(LeaveRequest(session_id=granted.session_id))

    async def test_a_change_is_in_force_while_it_spreads(
        self, root: Api, issued: IssueKeyResponse, revocation: RevokeKeyRequest
    ) -> None:
        """Some verifiers refuse already: the authority itself does."""
        granted = await joined(root)
        change = started(root(revocation))
        await spreads(change)
        assert await verdict(root, issued.secret) == "REVOKED"
        await root(LeaveRequest(session_id=granted.session_id))
        await change

    async def test_a_change_that_finds_nothing_to_do_waits_like_the_first(
        self, root: Api, revocation: RevokeKeyRequest
    ) -> None:
        """Its caller is told the same: that the key acts nowhere."""
        granted = await joined(root)
        first = started(root(revocation))
        await spreads(first)
        again = started(root(revocation))
        await spreads(again)
        await root(acknowledging(await root(acknowledging(granted))))
        assert (await first).receipt.revision == (await again).receipt.revision == 1

    async def test_a_thousand_keys_wait_once(self, root: Api, workspace: str) -> None:
        """One fence, behind the last of their revisions."""
        ids = [(await issue(root, workspace, str(number))).key.id for number in range(20)]
        granted = await joined(root)
        change = started(root(RevokeKeysRequest(key_ids=ids)))
        await spreads(change)
        news = await root(acknowledging(granted))
        assert list(news.subjects) == ids
        await root(acknowledging(news))
        assert (await change).receipt.revision == 20


class TestWhatWaits:
    @pytest.fixture
    async def changes(
        self, authority: Authority, workspace: str, issued: IssueKeyResponse
    ) -> dict[str, Message]:
        caller = await authority.caller(Role.ISSUER)
        key_id = issued.key.id
        return {
            "update": UpdateKeyRequest(key=Key(id=key_id, name="new")),
            "rotate": RotateKeyRequest(key_id=key_id),
            "suspend": UpdateWorkspaceRequest(workspace=Workspace(id=workspace, suspended=True)),
            "rename": UpdateWorkspaceRequest(workspace=Workspace(id=workspace, name="new")),
            "revoke caller": RevokeCallerRequest(caller_id=caller.caller_id),
            "revoke keys": RevokeKeysRequest(key_ids=[key_id]),
        }

    @pytest.mark.parametrize(
        "name", ["update", "rotate", "suspend", "rename", "revoke caller", "revoke keys"]
    )
    async def test_every_change_to_what_exists(
        self, root: Api, changes: dict[str, Message], name: str
    ) -> None:
        """Either way: what refuses and what lets act again."""
        silent = await joined(root)
        change = started(root(changes[name]))
        await spreads(change)
        await root(LeaveRequest(session_id=silent.session_id))
        assert (await change).receipt.revision == 1

    async def test_a_resumption(self, root: Api, workspace: str) -> None:
        """When it returns no verifier refuses the workspace's keys any more."""
        suspended = Workspace(id=workspace, suspended=True)
        await root(UpdateWorkspaceRequest(workspace=suspended))
        silent = await joined(root)
        resumed = UpdateWorkspaceRequest(
            workspace=Workspace(id=workspace), update_mask=FieldMask(paths=["suspended"])
        )
        change = started(root(resumed))
        await spreads(change)
        await root(LeaveRequest(session_id=silent.session_id))
        assert not (await change).workspace.suspended

    async def test_no_creation(self, root: Api, workspace: str) -> None:
        """What is new was never cached."""
        await joined(root)
        async with asyncio.timeout(10):
            await issue(root, workspace)
            await root(CreateWorkspaceRequest(name="other"))
            await root(CreateCallerRequest(name="other", roles=[CALLER_ROLE_ISSUER]))


class TestSilence:
    @pytest.fixture
    def lease(self) -> timedelta:
        return SHORT

    async def test_is_waited_out(
        self, root: Api, issued: IssueKeyResponse, revocation: RevokeKeyRequest
    ) -> None:
        """Until the lease is over by any clock, and no longer asked of anybody."""
        await joined(root)
        receipt = (await root(revocation)).receipt
        assert (receipt.sessions_acknowledged, receipt.leases_waited_out) == (1, 1)
        assert receipt.waited.ToTimedelta().total_seconds() >= wait_out(SHORT)

    async def test_is_waited_out_by_a_repeat_again(
        self, root: Api, revocation: RevokeKeyRequest
    ) -> None:
        """A session that joined since may know nothing of it."""
        assert (await root(revocation)).receipt.leases_waited_out == 0
        await join(root)
        receipt = (await root(revocation)).receipt
        assert (receipt.revision, receipt.leases_waited_out) == (1, 1)


class TestLongSilence:
    @pytest.fixture
    def pace(self) -> Pace:
        """Silent verifiers are looked for all the time."""
        return Pace(sweeping=0.01)

    async def test_ends_the_session_in_the_end(
        self, root: Api, workspace: str, revocation: RevokeKeyRequest, lease_clock: LeaseClock
    ) -> None:
        """Then changes are as fast as before."""
        granted = await joined(root)
        await asyncio.sleep(0.05)  # For a round of who removes sessions.
        assert await sessions(root) == [granted.session_id]
        lease_clock.ahead += wait_out(MINUTE)
        await until_removed(root)
        assert (await root(revocation)).receipt.leases_waited_out == 0
        refused = await refusal(root(acknowledging(granted)))
        assert refused.reason == "SESSION_NOT_FOUND"

    async def test_is_not_what_patience_is(self, root: Api, lease_clock: LeaseClock) -> None:
        """A session that renews stays, however long it lives."""
        granted = await joined(root)
        # Twenty thirds of a lease, and several rounds of whoever removes sessions.
        for _ in range(20):
            granted = await root(acknowledging(granted))
            lease_clock.ahead += MINUTE.total_seconds() / 3
            await asyncio.sleep(0.02)
        assert (await root(acknowledging(granted))).session_id == granted.session_id


class TestAnEarlyAnswer:
    @pytest.fixture
    def pace(self) -> Pace:
        return Pace(margin=4.5)

    async def test_before_the_end_of_the_wait_is_told(
        self, root: Api, issued: IssueKeyResponse, revocation: RevokeKeyRequest
    ) -> None:
        """Some time before it: the change is made, still spreading, and by when it is everywhere."""
        silent = await joined(root)
        begun = boottime()
        refused = await refusal(root(revocation, timeout=5))
        assert boottime() < begun + 4.5
        assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert refused.reason == "REVOCATION_SPREADING"
        assert refused.metadata["revision"] == "1"
        assert refused.metadata["within"] == f"{wait_out(MINUTE):.2f}"
        assert await verdict(root, issued.secret) == "REVOKED"
        # A repeat waits for the same change, to the end.
        repeat = started(root(revocation))
        await spreads(repeat)
        await root(LeaveRequest(session_id=silent.session_id))
        assert (await repeat).receipt.revision == 1


class TestDeadline:
    @pytest.fixture
    def gate(self) -> Gate:
        return Gate()

    @pytest.fixture
    def services(self, gate: Gate) -> Sequence[Service]:
        class Stuck(KeyServicer):
            """Revoking takes longer than its caller waits, and makes no change meanwhile."""

            async def RevokeKey(self, request: RevokeKeyRequest, actor: Actor) -> Any:
                await gate.go_through()
                raise AssertionError

        return services_with(replace(service("KeyService"), servicer=Stuck))

    async def test_of_a_change_that_was_not_made_is_an_outage(
        self, root: Api, revocation: RevokeKeyRequest, gate: Gate
    ) -> None:
        """Nothing is claimed of it: the status is gRPC's own."""
        gate.close()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await root(revocation, timeout=0.3)
        assert gate.reached.is_set()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "spreading" not in (caught.value.details() or "")
        gate.open()


async def until_there_is_a_place(root: Api, key_id: str) -> None:
    """Returns when an issuer's call is answered; while a change is written, its place is taken."""
    while True:
        try:
            await root(GetKeyRequest(key_id=key_id))
        except grpc.aio.AioRpcError as refusal:
            if refusal.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(0.01)
        else:
            return


class TestPlaces:
    @pytest.fixture
    def services(self) -> Sequence[Service]:
        """There is one place for all issuers."""
        return services_with(replace(service("KeyService"), room=Room("issuing", 1)))

    async def test_a_change_that_waits_takes_none(
        self, root: Api, workspace: str, revocation: RevokeKeyRequest
    ) -> None:
        """A verifier that is cut off shuts nobody out, however much is revoked meanwhile."""
        silent = await joined(root)
        waiting = []
        for _ in range(5):
            waiting.append(started(root(revocation)))
            await spreads(waiting[-1])
            await until_there_is_a_place(root, revocation.key_id)
        await issue(root, workspace)
        await root(LeaveRequest(session_id=silent.session_id))
        assert len(await asyncio.gather(*waiting)) == 5
