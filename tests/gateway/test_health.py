"""`/healthz` and `/readyz`."""

from __future__ import annotations

import json

import grpc

from gateway.authorize import Readiness
from keyauthority.client import Secret, Verifier
from keyauthority.edge.envelope import Refusal
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import TOKEN, RecordingAuthority, exchange, head, parse
from tests.gateway.test_table import check_envelope


async def test_alive_is_alive_whatever_the_authority_does(start_gateway: StartGateway) -> None:
    """A restart of the gateway would not bring the authority back."""
    port = await start_gateway(authority="127.0.0.1:1")

    answer = parse(await exchange(port, head(target="/healthz")))

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})


async def test_ready_is_when_the_authority_answers(
    port: int, authority: RecordingAuthority
) -> None:
    """Asked like for a real secret, with our token."""
    assert parse(await exchange(port, head(target="/readyz"))).status == 200
    assert authority.tokens == [f"Bearer {TOKEN}"]
    assert authority.asked[0].secret.startswith("sk-optk-")


async def test_not_ready_is_when_it_does_not(port: int, authority: RecordingAuthority) -> None:
    """Also when it refuses our token: it would for every request."""

    async def refuse(context: grpc.aio.ServicerContext[object, object]) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you")

    authority.misbehave = refuse

    answer = parse(await exchange(port, head(target="/readyz")))

    check_envelope(answer, Refusal.VERIFICATION_UNAVAILABLE)


async def test_probes_ask_at_most_once_a_second(authority: RecordingAuthority) -> None:
    """A public path must not be a way to load the authority."""
    now = 1000.0
    async with Verifier(authority.address, token=Secret(TOKEN)) as verifier:
        readiness = Readiness(verifier, lambda: now)
        assert [await readiness.ready() for _ in range(10)] == [True] * 10
        assert len(authority.asked) == 1

        now += 1.0
        assert await readiness.ready()

    assert len(authority.asked) == 2
