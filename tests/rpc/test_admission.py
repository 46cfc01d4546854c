"""Too many calls: the next one is told at once, and other kinds of calls go on."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from keyauthority.domain.callers import Role
from keyauthority.domain.verifying import Verifying
from keyauthority.rpc import admission
from keyauthority.v1.caller_service_pb2 import ListCallersRequest
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from tests.rpc.parts import Api, Authority, eventually, issue, refusal, verdict

Calls = list["asyncio.Task[VerifyResponse]"]


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
    monkeypatch.setitem(admission.PLACES, Role.VERIFIER, 3)
    arrived = 0
    place = admission.Admission.place

    def counted(*given: Any) -> Any:
        nonlocal arrived
        arrived += 1
        return place(*given)

    monkeypatch.setattr(admission.Admission, "place", counted)

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
