"""Unknown keys, more than the authority answers, and good keys beside them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import grpc
import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.authorize import Authorizer
from gateway.key_headers import KeyHeaders
from gateway.observe import Metrics
from gateway.request import Grant
from gateway.sources import Attempts, Sources
from keyauthority.client import Secret, Verification, Verifier
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    TOKEN,
    Answered,
    RecordingAuthority,
    exchange,
    head,
    new_secret,
    parse,
    reply,
    valid_reply,
)

ASKERS = 150
ASKS = 6
HOLDS = 0.3
PROXY = ip_network("127.0.0.1")


async def ask(port: int, target: str, secret: str, address: str) -> Answered:
    fields = [f"Authorization: Bearer {secret}", f"X-Forwarded-For: {address}"]
    return parse(await exchange(port, head(*fields, target=target), pause=0))


@asynccontextmanager
async def flooded(port: int, target: str, authority: RecordingAuthority) -> AsyncIterator[None]:
    """So many at a time ask for unknown keys, again and again, and the authority answers none."""
    silent = asyncio.Event()

    async def wait(_: grpc.aio.ServicerContext[Any, Any]) -> None:
        if authority.asked[-1].secret not in authority.answers:
            await silent.wait()

    async def flood(address: str) -> None:
        while True:
            await ask(port, target, new_secret(), address)

    authority.misbehave = wait
    asked = len(authority.asked)
    askers = [asyncio.create_task(flood(f"198.51.100.{number}")) for number in range(ASKERS)]
    try:
        await asyncio.wait_for(authority.until_asked(asked + ASKERS), 20)
        yield
    finally:
        for asker in askers:
            asker.cancel()
        await asyncio.wait(askers)
        silent.set()


@pytest.mark.parametrize("target", ["/authz", "/v1/models"])
async def test_a_key_in_use_is_not_shut_out(
    start_gateway: StartGateway, authority: RecordingAuthority, target: str
) -> None:
    """Though its verdict holds no more each time, and all who are unknown have to wait."""
    port = await start_gateway(cache=True, trusted_proxies=(PROXY,))
    await asyncio.wait_for(authority.joined.get(), 10)
    used = authority.issue(valid_reply(cache_for=HOLDS))
    assert (await ask(port, target, used, "192.0.2.1")).status == 200
    async with flooded(port, target, authority):
        statuses = []
        for _ in range(ASKS):
            await asyncio.sleep(HOLDS)
            statuses.append((await ask(port, target, used, "192.0.2.1")).status)
    # On a busy machine an answer may come too late; but the authority was asked, each time.
    assert sum(request.secret == used for request in authority.asked) > ASKS
    assert 200 in statuses


class Noting(Verifier):
    """Notes from whom it is told that a secret is."""

    def __init__(self, *given: Any, **settings: Any) -> None:
        super().__init__(*given, **settings)
        self.told: list[tuple[str, bool]] = []

    async def verify(
        self,
        secret: str,
        *,
        source: str = "",
        suspect: bool = False,
        digest: bytes | None = None,
    ) -> Verification:
        self.told.append((source, suspect))
        return await super().verify(secret, source=source, suspect=suspect, digest=digest)


async def test_who_has_failed_lately_is_told_apart(authority: RecordingAuthority) -> None:
    """By address, or by network of IPv6; those of whom a proxy says nothing are one."""
    bad = itertools.cycle([authority.issue(reply(pb.VERDICT_REVOKED))])
    async with Noting(authority.address, token=Secret(TOKEN), cache=False) as verifier:
        authorizer = Authorizer(
            verifier, Attempts(10), Sources([PROXY]).client_of_proxy, Metrics(), KeyHeaders()
        )

        async def present(secret: str, *named: str) -> Grant | Refusal:
            lines = [("X-Forwarded-For", one) for one in named]
            fields = CIMultiDict([("Authorization", f"Bearer {secret}"), *lines])
            request: Any = make_mocked_request("GET", "/authz", fields).clone(remote="127.0.0.1")
            request.key = request.presented = None
            return authorizer.from_memory(request) or await authorizer.from_authority(request)

        for named in (["192.0.2.1"], ["2001:db8::1"], []):
            assert await present(next(bad), *named) is Refusal.INVALID_KEY
        for named in (["192.0.2.1"], ["192.0.2.2"], ["2001:db8::2"], ["2001:db8:0:1::"], []):
            assert isinstance(await present(authority.issue(), *named), Grant)

    network, other = "2001:db8::/64", "2001:db8:0:1::/64"
    assert verifier.told == [
        *(("192.0.2.1", False), (network, False), ("", False)),
        *(("192.0.2.1", True), ("192.0.2.2", False), (network, True), (other, False), ("", True)),
    ]
