"""Health, which anybody may ask for."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client import CollectorRegistry

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.health import Health
from keyauthority.rpc.metrics import CallMetrics
from keyauthority.rpc.services import SERVICES
from keyauthority.server import Pace
from tests.rpc.books import GatedBooks
from tests.rpc.parts import Api, eventually

OURS = [one.name for one in SERVICES if one.name.startswith("keyauthority.")]
SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


@pytest.fixture
def stub(anybody: Api) -> Any:
    """Asks without a credential."""
    return HealthStub(anybody.channel)


@pytest.mark.parametrize("service", ["", *OURS])
async def test_each_service_is_served_from_the_start(stub: Any, service: str) -> None:
    """The first to ask after the port is open is told so."""
    assert (await stub.Check(HealthCheckRequest(service=service))).status == SERVING


async def test_an_unknown_service_is_not_found(stub: Any) -> None:
    """As the protocol has it: an error for who asks, a status for who watches."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(HealthCheckRequest(service="nothing"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watch = stub.Watch(HealthCheckRequest(service="nothing"))
    assert (await anext(aiter(watch))).status == HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


async def test_all_services_are_listed(anybody: Api) -> None:
    """One question tells of everything."""
    messages: Any = health_pb2
    list_all: Any = anybody.channel.unary_unary(
        "/grpc.health.v1.Health/List",
        response_deserializer=messages.HealthListResponse.FromString,
    )
    listed = (await list_all(b"")).statuses
    assert {name: listed[name].status for name in listed} == dict.fromkeys(["", *OURS], SERVING)


@pytest.fixture
def pace() -> Pace:
    """The authority looks at its books all the time."""
    return Pace(health=0.01)


async def test_an_outage_of_the_books_is_told_and_taken_back(stub: Any, books: GatedBooks) -> None:
    """Who watches hears of it, and of the end of it."""
    watch = stub.Watch(HealthCheckRequest())
    statuses = aiter(watch)
    assert (await anext(statuses)).status == SERVING

    books.failure = KeyAuthorityError(Reason.STORE_UNAVAILABLE, "gone")
    assert (await anext(statuses)).status == NOT_SERVING
    assert (await stub.Check(HealthCheckRequest())).status == NOT_SERVING
    books.failure = None

    async def serving() -> bool:
        return bool((await stub.Check(HealthCheckRequest())).status == SERVING)

    await eventually(serving)
    assert (await anext(statuses)).status == SERVING
    watch.cancel()


class Silent:
    """Books behind a cut: no answer comes, and giving up takes as long."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()

    async def snapshot(self, digests: object) -> None:
        while not self.answer.is_set():
            with suppress(asyncio.CancelledError):
                await self.answer.wait()


async def test_books_that_give_no_answer_are_an_outage() -> None:
    """It is told when a look took too long, however long it goes on."""
    silent = Silent()
    metrics = CallMetrics(CollectorRegistry())
    looking = Health(silent, [], lambda: True, metrics, longest_look=0.05)  # type: ignore[arg-type]
    looking.report(healthy=True)
    async with asyncio.timeout(2):
        await looking.look()
        answer = await looking.Check(HealthCheckRequest(), None)  # type: ignore[arg-type]
    assert answer.status == NOT_SERVING
    silent.answer.set()
