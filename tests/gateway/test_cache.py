"""Verdicts from memory: given under a lease, dropped when told, never instead of an outage."""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession

from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    Answered,
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
)
from tests.gateway.test_table import check_envelope

LEASE_COMES_WITHIN = 5


async def ask(port: int, secret: str, target: str = "/v1/models") -> Answered:
    return parse(await exchange(port, head(f"Authorization: Bearer {secret}", target=target)))


async def cached(port: int, authority: RecordingAuthority, secret: str) -> None:
    """Asks until the answer comes from memory."""
    async with asyncio.timeout(LEASE_COMES_WITHIN):
        while True:
            asked = len(authority.asked)
            assert (await ask(port, secret)).status == 200
            if len(authority.asked) == asked:
                return


async def test_a_known_key_is_not_asked_about_again(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Neither for forwarding nor for a proxy."""
    port = await start_gateway(cache=True)
    secret = authority.issue()
    await cached(port, authority, secret)
    asked, forwarded = len(authority.asked), len(upstream.received)

    assert (await ask(port, secret)).status == 200
    assert (await ask(port, secret, "/authz")).status == 200

    assert len(authority.asked) == asked
    assert len(upstream.received) == forwarded + 1


async def test_a_key_that_changed_is_asked_about_again(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """And refused if that was its revocation."""
    port = await start_gateway(cache=True)
    secret = authority.issue()
    await cached(port, authority, secret)

    authority.answers[secret] = reply(pb.VERDICT_REVOKED)
    await authority.change("key_1")

    async with asyncio.timeout(5):
        while (answer := await ask(port, secret)).status == 200:
            pass
    check_envelope(answer, Refusal.INVALID_KEY)


async def test_without_the_cache_each_request_asks(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """By the authority's books, not by what any replica remembers."""
    port = await start_gateway(cache=False)
    secret = authority.issue()

    for _ in range(3):
        assert (await ask(port, secret)).status == 200

    assert [request.fresh for request in authority.asked] == [True, True, True]


async def test_metrics_tell_how_the_cache_does(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    unused_port: int,
    http: ClientSession,
) -> None:
    """Hits and misses, the lease, how much is kept and how old the last word is."""
    listen = f"127.0.0.1:{unused_port}"
    port = await start_gateway(cache=True, metrics_listen=listen)
    await cached(port, authority, authority.issue())

    async with http.get(f"http://{listen}/metrics") as response:
        numbers = dict(line.rsplit(" ", 1) for line in (await response.text()).splitlines())

    assert numbers['gateway_verdicts_total{result="hit"}'] == "1.0"
    assert 1 <= float(numbers['gateway_verdicts_total{result="miss"}']) <= len(authority.asked)
    assert numbers["gateway_verdicts_unavailable_total"] == "0.0"
    assert numbers["gateway_verdicts_shed_total"] == "0.0"
    assert numbers["gateway_lease_held"] == "1.0"
    assert numbers["gateway_cached_verdicts"] == "1.0"
    assert 0 <= float(numbers["gateway_fence_lag_seconds"]) < 3
