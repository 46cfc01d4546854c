"""Requests under way when their key dies: cut off with `--on-revoke cut`, and only then."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import grpc
import pytest
from aiohttp import ClientPayloadError, ClientResponse, ClientSession, web

from gateway.request import EdgeRequest
from gateway.under_way import Streams
from keyauthority.client import VerifiedKey
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, reply, valid_reply
from tests.gateway.test_cache import cached
from tests.gateway.test_streaming import EVENT, SSE, Stream

LAST = b"data: [DONE]\n\n"
SOON = 5


@pytest.fixture
async def port(start_gateway: StartGateway) -> int:
    """The port of a gateway that cuts."""
    return await start_gateway(cache=True, on_revoke="cut")


def issue(authority: RecordingAuthority, key_id: str, workspace_id: str = "ws_1") -> str:
    answer = valid_reply()
    answer.key.id, answer.key.workspace_id = key_id, workspace_id
    return authority.issue(answer)


def kill(authority: RecordingAuthority, secret: str, verdict: pb.Verdict.ValueType) -> None:
    authority.answers[secret] = reply(verdict, authority.answers[secret].key)


@asynccontextmanager
async def streaming(
    http: ClientSession, port: int, secret: str, first: bytes = EVENT
) -> AsyncIterator[ClientResponse]:
    """A response of which the first piece has arrived."""
    headers = {"Authorization": f"Bearer {secret}"}
    async with http.get(f"http://127.0.0.1:{port}/v1/chat", headers=headers) as response:
        assert await response.content.readany() == first
        yield response


def last_word(rest: bytes) -> str:
    """The code in the error event that *rest* is."""
    prefix, _, data = rest.removesuffix(b"\n\n").partition(b"\ndata: ")
    assert prefix == b"event: error"
    code: str = json.loads(data)["error"]["code"]
    return code


@pytest.mark.parametrize(
    ("verdict", "subject", "code"),
    [
        (pb.VERDICT_REVOKED, "key_1", "invalid_key"),
        (pb.VERDICT_DISABLED, "key_1", "invalid_key"),
        (pb.VERDICT_EXPIRED, "key_1", "expired_key"),
        (pb.VERDICT_WORKSPACE_SUSPENDED, "ws_1", "workspace_suspended"),
    ],
)
async def test_a_dead_keys_event_stream_ends_with_an_error_event(
    http: ClientSession,
    port: int,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    verdict: pb.Verdict.ValueType,
    subject: str,
    code: str,
) -> None:
    """It names the reason, as the next request's answer will; the upstream is cancelled."""
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    upstream.respond = Stream(SSE, EVENT).respond
    async with streaming(http, port, secret) as response:
        kill(authority, secret, verdict)
        await authority.change(subject)

        async with asyncio.timeout(SOON):
            assert last_word(await response.read()) == code
            await upstream.gone.wait()


async def test_other_keys_streams_run_on(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """And those of a key that changed but lives."""
    dead, changed, other = (issue(authority, f"key_{n}", f"ws_{n}") for n in range(3))
    await cached(port, authority, other)
    stream = Stream(SSE, EVENT)
    stream.then = lambda response: response.write(LAST)
    upstream.respond = stream.respond
    async with (
        streaming(http, port, dead) as first,
        streaming(http, port, changed) as second,
        streaming(http, port, other) as third,
    ):
        kill(authority, dead, pb.VERDICT_REVOKED)
        asked = len(authority.asked)
        await authority.change("key_0", "ws_1")

        async with asyncio.timeout(SOON):
            assert last_word(await first.read()) == "invalid_key"
            await authority.until_asked(asked + 2)
            stream.go_on.set()
            assert await second.read() == LAST
            assert await third.read() == LAST


async def test_when_everything_may_have_changed_everything_is_judged_anew(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """As after a time in which the gateway was told nothing."""
    dead, alive = issue(authority, "key_1"), issue(authority, "key_2")
    await cached(port, authority, alive)
    stream = Stream(SSE, EVENT)
    stream.then = lambda response: response.write(LAST)
    upstream.respond = stream.respond
    async with streaming(http, port, dead) as first, streaming(http, port, alive) as second:
        kill(authority, dead, pb.VERDICT_REVOKED)
        authority.reset = True
        await authority.change()

        async with asyncio.timeout(SOON):
            assert last_word(await first.read()) == "invalid_key"
            stream.go_on.set()
            assert await second.read() == LAST


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        pytest.param(SSE, b'data: {"n":', id="mid-event"),
        pytest.param({"Content-Type": "text/plain"}, b"half\n\n", id="no-event-stream"),
    ],
)
async def test_a_response_that_cannot_say_so_is_aborted(
    http: ClientSession,
    port: int,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    headers: dict[str, str],
    first: bytes,
) -> None:
    """Never ended as if it were whole; the upstream is cancelled all the same."""
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    upstream.respond = Stream(headers, first).respond
    async with streaming(http, port, secret, first) as response:
        kill(authority, secret, pb.VERDICT_REVOKED)
        await authority.change("key_1")

        async with asyncio.timeout(SOON):
            with pytest.raises(ClientPayloadError):
                await response.read()
            await upstream.gone.wait()


async def test_a_request_without_its_answer_yet_is_refused(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """In the usual form, since nothing was said yet; the connection remains usable."""
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    upstream.reached.clear()

    async def think(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    upstream.respond = think
    url, headers = f"http://127.0.0.1:{port}/v1/chat", {"Authorization": f"Bearer {secret}"}
    asking = asyncio.create_task(http.post(url, headers=headers, data=b"{}").__aenter__())
    async with asyncio.timeout(SOON):
        await upstream.reached.wait()
        kill(authority, secret, pb.VERDICT_REVOKED)
        await authority.change("key_1")

        response = await asking
        assert response.status == Refusal.INVALID_KEY.status
        assert await response.read() == Refusal.INVALID_KEY.body
        await upstream.gone.wait()
        assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status == 200


async def test_without_a_verdict_a_doubtful_stream_runs_on_for_a_while_only(
    http: ClientSession,
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
) -> None:
    """It is judged again and again, and cut off when nobody can say that its key lives."""
    port = await start_gateway(cache=True, on_revoke="cut", doubt_timeout=0.5)
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    upstream.respond = Stream(SSE, EVENT).respond

    async def fail(context: grpc.aio.ServicerContext[object, object]) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no")

    async with streaming(http, port, secret) as response:
        asked = len(authority.asked)
        authority.misbehave = fail
        await authority.change("key_1")

        async with asyncio.timeout(SOON):
            assert last_word(await response.read()) == "verification_unavailable"
        assert len(authority.asked) > asked + 1


async def test_a_verdict_that_comes_late_still_counts(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """A moment's outage cuts nothing off."""
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    stream = Stream(SSE, EVENT)
    stream.then = lambda response: response.write(LAST)
    upstream.respond = stream.respond
    failed = asyncio.Event()

    async def fail_once(context: grpc.aio.ServicerContext[object, object]) -> None:
        authority.misbehave = None
        failed.set()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no")

    async with streaming(http, port, secret) as response:
        asked = len(authority.asked)
        authority.misbehave = fail_once
        await authority.change("key_1")

        async with asyncio.timeout(SOON):
            await failed.wait()
            await authority.until_asked(asked + 2)
            stream.go_on.set()
            assert await response.read() == LAST


async def test_a_change_during_a_judgement_is_judged_too() -> None:
    """The running one may have begun before that change, and come to a verdict that is over."""
    verdicts = iter([None, Refusal.INVALID_KEY])
    first = asyncio.Event()

    async def judge(_: EdgeRequest) -> Refusal | None:
        verdict = next(verdicts)
        if verdict is None:
            first.set()
            await asyncio.sleep(0.01)
        return verdict

    streams, request = Streams(judge, 1.0), cast(EdgeRequest, SimpleNamespace())
    key = VerifiedKey("key_1", "ws_1", "one", (), {})
    with streams.watching(request, key):
        streams.changed(frozenset({"key_1"}))
        await first.wait()
        streams.changed(frozenset({"ws_1"}))
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(SOON)

    assert request.cut is Refusal.INVALID_KEY


async def test_draining_lets_streams_finish(
    start_gateway: StartGateway,
    http: ClientSession,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
) -> None:
    """The default: what was accepted runs on, what comes after is refused."""
    port = await start_gateway(cache=True)
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    stream = Stream(SSE, EVENT)
    stream.then = lambda response: response.write(LAST)
    upstream.respond = stream.respond
    headers = {"Authorization": f"Bearer {secret}"}
    async with streaming(http, port, secret) as response:
        kill(authority, secret, pb.VERDICT_REVOKED)
        await authority.change("key_1")

        async with asyncio.timeout(SOON):
            url = f"http://127.0.0.1:{port}/authz"
            while (await http.get(url, headers=headers)).status == 200:
                pass
            stream.go_on.set()
            assert await response.read() == LAST


async def test_a_cut_is_counted_as_one(
    start_gateway: StartGateway,
    http: ClientSession,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    unused_port: int,
) -> None:
    """Whatever its reason was."""
    listen = f"127.0.0.1:{unused_port}"
    port = await start_gateway(cache=True, on_revoke="cut", metrics_listen=listen)
    secret = issue(authority, "key_1")
    await cached(port, authority, secret)
    upstream.respond = Stream(SSE, EVENT).respond
    async with streaming(http, port, secret) as response:
        kill(authority, secret, pb.VERDICT_REVOKED)
        await authority.change("key_1")
        async with asyncio.timeout(SOON):
            await response.read()

    async with http.get(f"http://{listen}/metrics") as metrics:
        assert 'gateway_requests_total{outcome="cut"} 1.0' in await metrics.text()
