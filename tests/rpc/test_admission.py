"""Too many calls: the next one is told at once, and other kinds of calls go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client import CollectorRegistry

from keyauthority.domain.callers import Actor, Role
from keyauthority.rpc.admission import Room
from keyauthority.rpc.keys import KeyServicer
from keyauthority.rpc.mutations import Mutations
from keyauthority.rpc.service import Service
from keyauthority.rpc.services import SERVICES
from keyauthority.rpc.verification import VerificationServicer
from keyauthority.v1.caller_service_pb2 import ListCallersRequest
from keyauthority.v1.key_service_pb2 import IssueKeyRequest, ListKeysRequest
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from tests.rpc.parts import (
    Api,
    Authority,
    eventually,
    issue,
    refusal,
    refusal_by,
    service,
    services_with,
    until_cancelled,
    verdict,
)

Calls = list["asyncio.Task[VerifyResponse]"]


class Door:
    """What calls that have their places wait for. It counts them."""

    def __init__(self) -> None:
        self.arrived = 0
        self.open = asyncio.Event()

    async def pass_through(self) -> None:
        self.arrived += 1
        await self.open.wait()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def services(door: Door) -> Sequence[Service]:
    """There are as many places as a test can fill, and verifying and issuing wait at the door."""

    class HeldVerification(VerificationServicer):
        async def Verify(self, request: VerifyRequest, actor: Actor) -> VerifyResponse:
            await door.pass_through()
            return await super().Verify(request, actor)

    class HeldKeys(KeyServicer):
        async def IssueKey(self, request: IssueKeyRequest, actor: Actor) -> bytes:
            await door.pass_through()
            return await super().IssueKey(request, actor)

    verification, keys = service("VerificationService"), service("KeyService")
    [health] = [one for one in SERVICES if one.name == "grpc.health.v1.Health"]
    return services_with(
        replace(verification, room=Room("verifying", 3), servicer=HeldVerification),
        replace(keys, room=Room("issuing", 1), servicer=HeldKeys),
        replace(health, room=Room("health", 200, streams=4)),
    )


@pytest.fixture
async def full(root: Api, door: Door) -> Calls:
    """As many verifications under way as there are places for."""

    async def verify() -> VerifyResponse:
        response: VerifyResponse = await root(VerifyRequest(secret="x"))
        return response

    calls = [asyncio.create_task(verify()) for _ in range(3)]

    async def all_there() -> bool:
        return door.arrived == 3

    await eventually(all_there)
    return calls


async def test_a_call_too_many_is_refused_at_once(root: Api, full: Calls, door: Door) -> None:
    """It does not wait; those under way are answered."""
    refused = await refusal(root(VerifyRequest(secret="x")))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.reason == "OVERLOADED"
    assert not any(call.done() for call in full)
    door.open.set()
    assert len(await asyncio.gather(*full)) == 3


async def test_places_are_given_again(root: Api, full: Calls, door: Door) -> None:
    """When the calls are over, whether answered or left, others are let in."""
    full[0].cancel()
    await asyncio.wait(full[:1])
    door.open.set()
    await asyncio.gather(*full[1:])
    for _ in range(5):
        assert await verdict(root, "x") == "MALFORMED"


async def test_a_refused_call_takes_no_place(root: Api, full: Calls, door: Door) -> None:
    """However many are refused, the places come back."""
    for _ in range(5):
        await refusal(root(VerifyRequest(secret="x")))
    door.open.set()
    await asyncio.gather(*full)
    await asyncio.gather(*(root(VerifyRequest(secret="x")) for _ in range(3)))


async def test_other_kinds_of_calls_go_on(
    root: Api, workspace: str, full: Calls, door: Door
) -> None:
    """A flood of verifications keeps nobody from issuing, administering or asking for health."""
    issuing = asyncio.create_task(issue(root, workspace))
    assert await root(ListCallersRequest())
    stub: Any = HealthStub(root.channel)
    assert await stub.Check(HealthCheckRequest())

    async def issues() -> bool:
        return door.arrived == 4

    await eventually(issues)
    door.open.set()
    assert (await issuing).secret
    await asyncio.gather(*full)


async def test_who_may_not_call_takes_no_place(
    authority: Authority, full: Calls, door: Door
) -> None:
    """A stranger is told that it is one, not that we are busy."""
    stranger = Api(authority.root.channel)
    issuer = await authority.caller(Role.ISSUER)
    assert (await refusal(stranger(VerifyRequest(secret="x")))).reason == "CREDENTIAL_MISSING"
    assert (await refusal(issuer(VerifyRequest(secret="x")))).reason == "ROLE_MISSING"
    door.open.set()
    await asyncio.gather(*full)


async def test_watchers_leave_room_for_who_asks_once(anybody: Api) -> None:
    """Nobody can hide the authority's health by watching it a hundred times."""
    stub: Any = HealthStub(anybody.channel)
    watches = [stub.Watch(HealthCheckRequest()) for _ in range(2)]
    for watch in watches:
        await anext(aiter(watch))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(stub.Watch(HealthCheckRequest())))
    assert refusal_by(caught.value).reason == "OVERLOADED"
    assert (await stub.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING
    for watch in watches:
        watch.cancel()


async def test_a_change_keeps_its_place_when_its_caller_leaves(
    root: Api, workspace: str, door: Door, registry: CollectorRegistry
) -> None:
    """Coming and leaving does not make room for more changes than there are places."""
    request = IssueKeyRequest(workspace_id=workspace, name="ci")
    call = root(request)

    async def arrived() -> bool:
        return door.arrived == 1

    await eventually(arrived)
    call.cancel()
    await until_cancelled(registry, "KeyService.IssueKey")
    assert (await refusal(root(request))).reason == "OVERLOADED"
    door.open.set()

    async def there_is_room() -> bool:
        try:
            return bool(await root(ListKeysRequest(workspace_id=workspace)))
        except grpc.aio.AioRpcError:
            return False

    await eventually(there_is_room)


async def test_a_stop_does_not_wait_for_ever_for_a_change() -> None:
    """A commit may wait for a standby that does not come back."""
    mutations = Mutations()
    change = mutations.start(asyncio.Event().wait())

    await asyncio.wait_for(mutations.close(0.05), 5)

    assert not change.done()
    change.cancel()


async def failing_change(go: asyncio.Event) -> None:
    await go.wait()
    raise OSError("the disk is gone")


async def test_the_failure_of_an_abandoned_change_is_logged() -> None:
    """Its caller has left."""
    mutations, go = Mutations(), asyncio.Event()
    change = mutations.start(failing_change(go))
    assert not await mutations.finish(change, 0)
    with structlog.testing.capture_logs() as logs:
        go.set()
        await asyncio.wait({change})
        await asyncio.sleep(0)
    # A failure that nobody has asked for is reported by asyncio later, which can end the whole run.
    assert isinstance(change.exception(), OSError)
    assert [log["event"] for log in logs] == ["abandoned_change_failed"]


async def test_a_failure_that_its_caller_gets_is_not_logged_as_abandoned() -> None:
    """Its caller waited again after the first wait was over."""
    mutations, go = Mutations(), asyncio.Event()
    change = mutations.start(failing_change(go))
    assert not await mutations.finish(change, 0)
    waiting = asyncio.create_task(mutations.finish(change, None))
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(0)
        go.set()
        assert await waiting
        await asyncio.sleep(0)
    assert logs == []
    assert isinstance(change.exception(), OSError)


def test_who_bills_shuts_out_no_administrator() -> None:
    """A flood of bills leaves room to revoke whoever sends it."""
    rooms = {one.name: one.room for one in SERVICES}
    billing = rooms.pop("keyauthority.v1.LedgerService")
    assert billing not in rooms.values()


def test_whoever_asks_how_it_stands_is_not_shed_with_administrators() -> None:
    """`status` and `doctor` are needed most when that room is full."""
    rooms = {one.name: one.room for one in SERVICES}
    identity = rooms.pop("keyauthority.v1.IdentityService")
    assert identity not in rooms.values()
