"""What is told of a call during which the process lost its lease."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from prometheus_client import CollectorRegistry

from keyauthority.base.process.clocks import boottime
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.entrance import Entrance
from keyauthority.rpc.errors import STATUS, Alarms
from keyauthority.rpc.guard import Guard
from keyauthority.rpc.leased import OF_THE_CALL, Leased
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.mutations import Mutations
from keyauthority.rpc.service import Parts
from keyauthority.rpc.services import SERVICES, add_services
from tests.conformance.records import a_caller
from tests.rpc.parts import Refusal, refusal

KEYS = "keyauthority.v1.KeyService"
VERIFICATION = "keyauthority.v1.VerificationService"
HEALTH = "grpc.health.v1.Health"


class Open:
    """An entrance that lets everybody in."""

    holds = None

    def recognised(self, *_: object) -> object:
        return self

    async def enter(self, *_: object) -> Actor:
        return Actor(a_caller(), "", "", "")


class Process:
    """Behind a guard, methods that lose the lease before they fail or answer."""

    def __init__(self) -> None:
        self.leased = True
        self.fault: KeyAuthorityError | None = None
        self.calls = 0

    async def method(self, _request: bytes, _context: object) -> bytes:
        self.calls += 1
        self.leased = False
        if self.fault is not None:
            raise self.fault
        return b"an answer"

    def __getattr__(self, method: str) -> Any:
        return self.method


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def channel(process: Process) -> AsyncIterator[grpc.aio.Channel]:
    metrics = CallMetrics(CollectorRegistry())
    guard = Guard(
        cast("Entrance", Open()),
        Mutations(),
        lambda: 0.0,
        Leased(lambda: process.leased),
        metrics,
        Alarms(metrics, boottime),
    )
    server = grpc.aio.server()
    services = [replace(one, servicer=lambda _: process, quick={}) for one in SERVICES]
    add_services(services, cast("Parts", None), server, guard)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


def call(channel: grpc.aio.Channel, path: str) -> Awaitable[Any]:
    multicallable: Any = channel.unary_unary(path)
    return cast("Awaitable[Any]", multicallable(b"", timeout=10))


async def lost(channel: grpc.aio.Channel, path: str) -> Refusal:
    refused = await refusal(call(channel, path))
    assert (refused.reason, refused.code) == ("LEASE_LOST", grpc.StatusCode.UNAVAILABLE)
    return refused


async def test_a_change_may_be_made_or_not(process: Process, channel: grpc.aio.Channel) -> None:
    """Its caller is not told that it is made, nor that it isn't; the next is not even begun."""
    assert "made or not" in (await lost(channel, f"/{KEYS}/RevokeKey")).message

    assert "nothing was changed" in (await lost(channel, f"/{KEYS}/RevokeKey")).message
    assert process.calls == 1


async def test_what_was_read_is_not_told(process: Process, channel: grpc.aio.Channel) -> None:
    """It may be of the past. Under a lease, it is told."""
    await lost(channel, f"/{KEYS}/GetKey")


async def test_what_verifiers_write_needs_no_other_proof(channel: grpc.aio.Channel) -> None:
    """A lease that was granted was written down where the primary confirms it."""
    assert await call(channel, f"/{VERIFICATION}/Sync") == b"an answer"


@pytest.mark.parametrize("method", ["GetKey", "RevokeKey"])
@pytest.mark.parametrize("why", Reason)
async def test_only_faults_of_the_call_are_told(
    process: Process, channel: grpc.aio.Channel, why: Reason, method: str
) -> None:
    """What rests on the books is not: that something does not exist, above all."""
    process.fault = KeyAuthorityError(why, "because")

    refused = await refusal(call(channel, f"/{KEYS}/{method}"))

    told = why if why in OF_THE_CALL else Reason.LEASE_LOST
    assert (refused.reason, refused.code) == (told.name, STATUS[told])


async def test_health_is_told_without_a_lease(process: Process, channel: grpc.aio.Channel) -> None:
    """That there is none is just what it says."""
    assert await call(channel, f"/{HEALTH}/Check") == b"an answer"
    assert not process.leased
