"""Too many calls: the next one is told at once, and other kinds of calls go on."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.domain.callers import Role
from keyauthority.domain.issuing import Issuing
from keyauthority.domain.verifying import Verifying
from keyauthority.rpc import admission
from keyauthority.rpc.policy import Access
from keyauthority.v1.caller_service_pb2 import ListCallersRequest
from keyauthority.v1.key_service_pb2 import IssueKeyRequest, ListKeysRequest
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from tests.rpc.parts import Api, Authority, eventually, issue, refusal, told, verdict

Calls = list["asyncio.Task[VerifyResponse]"]


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as a test can fill."""
    monkeypatch.setitem(admission.PLACES, Role.VERIFIER, 3)
    monkeypatch.setitem(admission.PLACES, Role.ISSUER, 1)
    monkeypatch.setitem(admission.STREAMS, Access.OPEN, 4)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Verifications that have begun wait until it is set."""
    event = asyncio.Event()
    verify_all = Verifying.verify_all

    async def waiting(*given: Any) -> Any:
        await event.wait()
        return await verify_all(*given)

    monkeypatch.setattr(Verifying, "verify_all", waiting)
    return event


@pytest.fixture
async def full(root: Api, door: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """As many verifications under way as there are places for."""
    arrived = 0
    enter = admission.Places.enter

    def counted(*given: Any) -> None:
        nonlocal arrived
        arrived += 1
        enter(*given)

    monkeypatch.setattr(admission.Places, "enter", counted)

    async def verify() -> VerifyResponse:
        response: VerifyResponse = await root(VerifyRequest(secret="x"))
        return response

    calls = [asyncio.create_task(verify()) for _ in range(3)]

    async def all_there() -> bool:
        return arrived == 3

    await eventually(all_there)
    return calls


async def test_a_call_too_many_is_refused_at_once(
    root: Api, full: Calls, door: asyncio.Event
) -> None:
    """It does not wait; those under way are answered."""
    refused = await refusal(root(VerifyRequest(secret="x")))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refused.reason == "OVERLOADED"
    assert not any(call.done() for call in full)
    door.set()
    assert len(await asyncio.gather(*full)) == 3


async def test_places_are_given_again(root: Api, full: Calls, door: asyncio.Event) -> None:
    """When the calls are over, whether answered or left, others are let in."""
    full[0].cancel()
    await asyncio.wait(full[:1])
    door.set()
    await asyncio.gather(*full[1:])
    for _ in range(5):
        assert await verdict(root, "x") == "MALFORMED"


async def test_a_refused_call_takes_no_place(root: Api, full: Calls, door: asyncio.Event) -> None:
    """However many are refused, the places come back."""
    for _ in range(5):
        await refusal(root(VerifyRequest(secret="x")))
    door.set()
    await asyncio.gather(*full)
    await asyncio.gather(*(root(VerifyRequest(secret="x")) for _ in range(3)))


async def test_other_kinds_of_calls_go_on(
    root: Api, workspace: str, full: Calls, door: asyncio.Event
) -> None:
    """A flood of verifications keeps nobody from issuing, administering or asking for health."""
    assert (await issue(root, workspace)).secret
    assert await root(ListCallersRequest())
    stub: Any = HealthStub(root.channel)
    assert await stub.Check(HealthCheckRequest())
    door.set()
    await asyncio.gather(*full)


async def test_who_may_not_call_takes_no_place(
    authority: Authority, full: Calls, door: asyncio.Event
) -> None:
    """A stranger is told that it is one, not that we are busy."""
    stranger = Api(authority.root.channel)
    issuer = await authority.caller(Role.ISSUER)
    assert (await refusal(stranger(VerifyRequest(secret="x")))).reason == "CREDENTIAL_MISSING"
    assert (await refusal(issuer(VerifyRequest(secret="x")))).reason == "ROLE_MISSING"
    door.set()
    await asyncio.gather(*full)


async def test_watchers_leave_room_for_who_asks_once(
    anybody: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can hide the authority's health by watching it a hundred times."""
    stub: Any = HealthStub(anybody.channel)
    watches = [stub.Watch(HealthCheckRequest()) for _ in range(2)]
    for watch in watches:
        await anext(aiter(watch))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await anext(aiter(stub.Watch(HealthCheckRequest())))
    assert told(caught.value).reason == "OVERLOADED"
    assert (await stub.Check(HealthCheckRequest())).status == HealthCheckResponse.SERVING
    for watch in watches:
        watch.cancel()


async def test_a_change_keeps_its_place_when_its_caller_leaves(
    root: Api, workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Coming and leaving does not make room for more changes than there are places."""
    arrived, go = asyncio.Event(), asyncio.Event()
    begin = Issuing.issue

    async def waiting(*given: Any) -> Any:
        arrived.set()
        await go.wait()
        return await begin(*given)

    monkeypatch.setattr(Issuing, "issue", waiting)
    request = IssueKeyRequest(workspace_id=workspace, name="ci")
    call = root(request)
    await arrived.wait()
    call.cancel()
    await asyncio.wait([asyncio.ensure_future(call.code())])
    await asyncio.sleep(0.05)
    assert (await refusal(root(request))).reason == "OVERLOADED"
    go.set()

    async def there_is_room() -> bool:
        try:
            return bool(await root(ListKeysRequest(workspace_id=workspace)))
        except grpc.aio.AioRpcError:
            return False

    await eventually(there_is_room)


async def test_a_stop_does_not_wait_for_ever_for_a_change() -> None:
    """A commit may wait for a standby that does not come back."""
    mutations = admission.Mutations()
    change = mutations.start(asyncio.Event().wait())

    await asyncio.wait_for(mutations.close(0.05), 5)

    assert not change.done()
    change.cancel()
