"""The client's verifier against a real gRPC server: what it makes of calls, without a cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from keyauthority.client import Secret, Verdict, VerificationUnavailable, VerifiedKey, Verifier
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.parts import (
    TOKEN,
    RecordingAuthority,
    new_secret,
    reply,
    serving,
    valid_reply,
)
from tests.ports import free_port

Context = grpc.aio.ServicerContext[Any, Any]


@pytest.fixture
async def authority() -> AsyncIterator[RecordingAuthority]:
    async with serving(RecordingAuthority()) as authority:
        yield authority


@pytest.fixture
async def verifier(authority: RecordingAuthority) -> AsyncIterator[Verifier]:
    async with Verifier(authority.address, token=Secret(TOKEN), cache=False) as verifier:
        yield verifier


@pytest.fixture
def unused_address() -> str:
    return f"127.0.0.1:{free_port()}"


async def test_a_valid_secret_comes_with_its_key(
    verifier: Verifier, authority: RecordingAuthority
) -> None:
    """Id, workspace, name, scopes and labels; asked afresh, with the token."""
    answer = valid_reply("a", "b")
    answer.key.labels["team"] = "search"
    answer.key.expire_time.FromSeconds(4_000_000_000)
    secret = authority.issue(answer)

    verification = await verifier.verify(secret)

    assert verification.verdict is Verdict.VALID
    expires = datetime.fromtimestamp(4_000_000_000, UTC)
    assert verification.key == VerifiedKey(
        "key_1", "ws_1", "one", ("a", "b"), {"team": "search"}, expires
    )
    assert verification.holds()
    assert authority.tokens == [f"Bearer {TOKEN}"]
    assert authority.asked[0].fresh


@pytest.mark.parametrize("verdict", list(Verdict)[1:])
async def test_a_refused_secret_is_an_answer(
    verifier: Verifier, authority: RecordingAuthority, verdict: Verdict
) -> None:
    """Not an exception."""
    secret = authority.issue(reply(pb.Verdict.ValueType(verdict.value)))

    assert (await verifier.verify(secret)).verdict is verdict


@pytest.mark.parametrize(
    "noise",
    [
        "",
        "short",
        "x" * 257,
        "sch\u00f6n-genug-und-lang-genug",
        "long enough but of several words",
        "optk-svc-" + "x" * 65,
        "sk-optk-",
        "sk-optk-" + "x" * 65,
        pytest.param(new_secret() + "x", id="one letter more"),
        pytest.param(new_secret()[:-1] + "!", id="another last letter"),
    ],
)
async def test_noise_is_malformed_without_a_call(
    verifier: Verifier, authority: RecordingAuthority, noise: str
) -> None:
    """The checksum and the length tell."""
    assert (await verifier.verify(noise)).verdict is Verdict.MALFORMED
    assert authority.asked == []


async def test_a_foreign_secret_is_the_authoritys_to_judge(
    verifier: Verifier, authority: RecordingAuthority
) -> None:
    """It may have been imported; its shape tells nothing."""
    assert (await verifier.verify("x" * 16)).verdict is Verdict.UNKNOWN
    assert len(authority.asked) == 1


async def test_a_verdict_holds_from_the_sending_on(
    verifier: Verifier, authority: RecordingAuthority
) -> None:
    """A slow answer has used up part of its time."""

    async def dawdle(_: Context) -> None:
        await asyncio.sleep(0.1)

    authority.misbehave = dawdle

    short = await verifier.verify(authority.issue(valid_reply(cache_for=0.09)))
    assert not short.holds()
    long = await verifier.verify(authority.issue(valid_reply(cache_for=5)))
    assert long.holds()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(pb.VerifyResponse(), id="unspecified"),
        pytest.param(reply(pb.Verdict.ValueType(99)), id="unknown-value"),
        pytest.param(reply(pb.VERDICT_VALID), id="valid-without-key"),
    ],
)
async def test_an_answer_we_do_not_know_is_no_verdict(
    verifier: Verifier, authority: RecordingAuthority, answer: pb.VerifyResponse
) -> None:
    """A newer authority may say more than this client understands."""
    with pytest.raises(VerificationUnavailable):
        await verifier.verify(authority.issue(answer))


async def test_an_outage_is_no_verdict(authority: RecordingAuthority, verifier: Verifier) -> None:
    """Whatever fails: the status is a reason for the log, without the authority's text."""

    async def fail(context: Context) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "token optk-svc-123 is not known")

    authority.misbehave = fail

    with pytest.raises(VerificationUnavailable) as outage:
        await verifier.verify(authority.issue())

    assert str(outage.value) == "UNAUTHENTICATED"
    with pytest.raises(VerificationUnavailable):
        await verifier.probe()


async def test_a_closed_verifier_gives_no_verdict(authority: RecordingAuthority) -> None:
    """As at a stop: not an error of another kind."""
    async with Verifier(authority.address, token=Secret(TOKEN)) as verifier:
        pass

    with pytest.raises(VerificationUnavailable):
        await verifier.verify(authority.issue())


async def test_the_authority_is_found_again_after_a_restart(unused_address: str) -> None:
    """Within about a second of its return, also if many calls failed meanwhile."""
    async with Verifier(unused_address, token=Secret(TOKEN)) as verifier:
        with pytest.raises(VerificationUnavailable):
            await verifier.probe()
        async with serving(RecordingAuthority(), address=unused_address):
            async with asyncio.timeout(3):
                await _until_it_answers(verifier)


async def _until_it_answers(verifier: Verifier) -> None:
    while True:
        try:
            return await verifier.probe()
        except VerificationUnavailable:
            await asyncio.sleep(0.05)
