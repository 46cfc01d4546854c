"""Without a verdict nothing goes through, and nobody is told that a good key is bad."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest
from aiohttp.test_utils import make_mocked_request
from google.protobuf.duration_pb2 import Duration

from gateway.authorize import Authorizer
from gateway.key_headers import KeyHeaders
from gateway.observe import Metrics
from gateway.request import Grant
from gateway.sources import Attempts
from keyauthority.client import Secret, Verdict, Verification, VerifiedKey, Verifier
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    TOKEN,
    VERIFY_TIMEOUT,
    Answered,
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
    valid_reply,
)
from tests.gateway.test_table import check_envelope

Context = grpc.aio.ServicerContext[Any, Any]
MARGIN = 0.4
ROOM_OF_ONE = 64
"""Secrets of one source that wait in a test of that."""


async def ask(port: int, secret: str) -> Answered:
    return parse(await exchange(port, head(f"Authorization: Bearer {secret}")))


async def test_an_authority_that_is_not_there(start_gateway: StartGateway) -> None:
    """Refused connections are known at once."""
    port = await start_gateway(authority="127.0.0.1:1")

    async with asyncio.timeout(VERIFY_TIMEOUT + MARGIN):
        answer = await ask(port, "some-imported-secret")

    check_envelope(answer, Refusal.VERIFICATION_UNAVAILABLE)
    assert answer.header("retry-after") == ["1"]


async def test_an_authority_that_hangs(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The answer comes at the deadline of the call, hardly later."""

    async def hang(_: Context) -> None:
        await asyncio.sleep(60)

    authority.misbehave = hang

    async with asyncio.timeout(VERIFY_TIMEOUT + MARGIN):
        answer = await ask(port, authority.issue())

    check_envelope(answer, Refusal.VERIFICATION_UNAVAILABLE)
    assert upstream.received == []


@pytest.mark.parametrize("status", list(grpc.StatusCode)[1:], ids=lambda status: status.name)
async def test_an_authority_that_refuses_or_fails(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, status: grpc.StatusCode
) -> None:
    """Every status of a call is about the call: our own credential refused is no refused key."""

    async def fail(context: Context) -> None:
        await context.abort(status, "no")

    authority.misbehave = fail

    check_envelope(await ask(port, authority.issue()), Refusal.VERIFICATION_UNAVAILABLE)
    assert upstream.received == []


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(pb.VERDICT_UNSPECIFIED), id="unspecified"),
        pytest.param(reply(pb.Verdict.ValueType(99)), id="unknown-value"),
        pytest.param(reply(pb.VERDICT_VALID), id="valid-without-key"),
        pytest.param(pb.VerifyResponse(), id="empty"),
    ],
)
async def test_an_authority_that_says_what_we_do_not_know(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, answer: pb.VerifyResponse
) -> None:
    """A newer authority's verdict is neither acceptance nor refusal."""
    secret = authority.issue(answer)

    check_envelope(await ask(port, secret), Refusal.VERIFICATION_UNAVAILABLE)
    assert upstream.received == []


async def test_more_questions_than_there_is_room_for(authority: RecordingAuthority) -> None:
    """The room is full; the next one is told at once instead of queueing up."""
    released = asyncio.Event()

    async def wait(_: Context) -> None:
        await released.wait()

    authority.misbehave = wait
    token = Secret(TOKEN)
    async with Verifier(
        authority.address, token=token, cache=False, timeout=20, waiting=2 * ROOM_OF_ONE
    ) as verifier:
        authorizer = Authorizer(verifier, Attempts(0), lambda _: None, Metrics(), KeyHeaders())

        async def ask_at_the_edge() -> Grant | Refusal:
            headers = {"Authorization": f"Bearer {authority.issue()}"}
            request: Any = make_mocked_request("GET", "/v1/models", headers)
            request.key = request.presented = None
            return authorizer.from_memory(request) or await authorizer.from_authority(request)

        # About different secrets: one call answers all who ask about the same.
        questions = [asyncio.create_task(ask_at_the_edge()) for _ in range(ROOM_OF_ONE)]
        await asyncio.sleep(0)

        assert await ask_at_the_edge() is Refusal.VERIFICATION_UNAVAILABLE

        assert verifier.counters.shed == 1
        assert not any(task.done() for task in questions)
        released.set()
        assert all(isinstance(answer, Grant) for answer in await asyncio.gather(*questions))


async def test_every_request_asks_afresh(port: int, authority: RecordingAuthority) -> None:
    """With our token, by the database, and the next answer may be another."""
    secret = authority.issue()
    assert (await ask(port, secret)).status == 200

    authority.answers[secret] = reply(pb.VERDICT_REVOKED)

    check_envelope(await ask(port, secret), Refusal.INVALID_KEY)
    assert [(request.secret, request.fresh) for request in authority.asked] == [(secret, True)] * 2


async def test_a_verdict_that_ran_out_is_asked_again(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The key expired between the answer and the upstream: the second answer counts."""
    secret = authority.issue(valid_reply(cache_for=0))

    async def expire(_: Context) -> None:
        if len(authority.asked) == 2:
            authority.answers[secret] = reply(pb.VERDICT_EXPIRED)

    authority.misbehave = expire

    check_envelope(await ask(port, secret), Refusal.EXPIRED_KEY)
    assert upstream.received == []


async def test_a_verdict_that_never_holds_is_none(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Asked once more, then given up; the body of the request is not lost on the way."""
    fleeting, lasting = authority.issue(valid_reply(cache_for=0)), valid_reply()
    check_envelope(await ask(port, fleeting), Refusal.VERIFICATION_UNAVAILABLE)
    assert len(authority.asked) == 2

    async def last(_: Context) -> None:
        if len(authority.asked) == 4:
            authority.answers[fleeting] = lasting

    authority.misbehave = last
    fields = [f"Authorization: Bearer {fleeting}", "Content-Length: 4"]
    raw = await exchange(port, head(*fields, method="POST") + b"body")

    assert parse(raw).status == 200
    assert [received.body for received in upstream.received] == [b"body"]


class Newer(Verifier):
    """Gives a verdict that this version has no name for, about a key that it knows."""

    in_memory = True

    def peek(self, secret: str, digest: bytes | None = None) -> Verification | None:
        return self._verification() if self.in_memory else None

    async def verify(
        self,
        secret: str,
        *,
        source: str = "",
        suspect: bool = False,
        digest: bytes | None = None,
    ) -> Verification:
        return self._verification()

    def _verification(self) -> Verification:
        key = VerifiedKey("key_1", "ws_1", "one", (), {})
        return Verification(cast(Verdict, "VALID_TWICE"), key)


@pytest.mark.parametrize("in_memory", [True, False])
async def test_a_verdict_that_nobody_knows_lets_nobody_in(
    authority: RecordingAuthority, *, in_memory: bool
) -> None:
    """Neither at the request nor when its key is judged again, from memory as by a call."""
    async with Newer(authority.address, token=Secret(TOKEN), cache=False) as verifier:
        verifier.in_memory = in_memory
        authorizer = Authorizer(verifier, Attempts(0), lambda _: None, Metrics(), KeyHeaders())
        headers = {"Authorization": f"Bearer {authority.issue()}"}
        request: Any = make_mocked_request("GET", "/v1/models", headers)
        request.key = request.presented = None

        judged = authorizer.from_memory(request) or await authorizer.from_authority(request)
        judged_again = await authorizer.judge_again(request)

    assert judged is judged_again is Refusal.VERIFICATION_UNAVAILABLE


def test_cache_for_has_fractions() -> None:
    """The helper above tells the contract's duration as it is meant."""
    assert valid_reply(cache_for=1.5).cache_for == Duration(seconds=1, nanos=500_000_000)
