"""Websockets under /v1: forwarded with the flag, between real ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from aiohttp import (
    AddrInfoType,
    ClientSession,
    ClientWebSocketResponse,
    WSMessage,
    WSMsgType,
    WSServerHandshakeError,
    web,
)

from gateway.app import running
from keyauthority.edge.envelope import Refusal
from keyauthority.scopes.catalogue import default_catalogue
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
    settings_of,
    valid_reply,
)
from tests.gateway.peers import Peer, serving
from tests.gateway.test_cache import cached
from tests.gateway.test_table import check_envelope
from tests.rpc.parts import eventually

SOON = 5
PAGE = "https://app.example.com"
HANDSHAKE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
OPENED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
"""The upstream's answer to that."""
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


class Realtime:
    """An upstream that takes every websocket and echoes, unless *talk* does something else."""

    def __init__(self, upstream: FakeUpstream, talk: Talk | None = None, **options: Any) -> None:
        self.upstream = upstream
        self.talk = talk
        self.options: dict[str, Any] = {"protocols": ("realtime",), **options}
        self.sockets: list[web.WebSocketResponse] = []
        self.over = asyncio.Event()
        upstream.respond = self.respond

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if "Upgrade" not in request.headers:
            return web.json_response({})
        socket = web.WebSocketResponse(**self.options)
        await socket.prepare(request)
        self.sockets.append(socket)
        try:
            await (self.talk or self.echo)(socket)
        finally:
            self.over.set()
        return socket

    async def echo(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)


@asynccontextmanager
async def opened(
    http: ClientSession,
    port: int,
    secret: str,
    target: str = "/v1/realtime?model=x",
    **options: Any,
) -> AsyncIterator[ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {secret}", **options.pop("headers", {})}
    url = f"ws://127.0.0.1:{port}{target}"
    async with http.ws_connect(url, headers=headers, **options) as socket:
        yield socket


async def ended(socket: ClientWebSocketResponse) -> tuple[int | None, str]:
    """The code and the reason with which it ends."""
    async with asyncio.timeout(SOON):
        message: WSMessage = await socket.receive()
    assert message.type is WSMsgType.CLOSE, message
    return socket.close_code, message.extra or ""


@pytest.fixture
async def port(start_gateway: StartGateway) -> int:
    """The port of a gateway that forwards websockets, and cuts them."""
    return await start_gateway(websockets=True, cache=True, on_revoke="cut")


async def test_messages_of_any_size_pass_both_ways(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Compressed too, which both ends agree upon; with our headers and without the client's key."""
    Realtime(upstream)
    secret = authority.issue()
    large = bytes(range(256)) * 4096

    async with opened(
        http, port, secret, protocols=("realtime",), compress=15, max_msg_size=0,
        headers={"OpenAI-Beta": "realtime=v1", "Cookie": "a=b"},
    ) as socket:  # fmt: skip
        assert (socket.protocol, socket.compress) == ("realtime", 15)
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=SOON) == "hello"
        await socket.send_bytes(large)
        assert await socket.receive_bytes(timeout=SOON) == large
        await socket.ping(b"anybody?")
        await socket.send_str("there")
        assert await socket.receive_str(timeout=SOON) == "there"

    [received] = upstream.received
    assert (received.method, received.target) == ("GET", "/v1/realtime?model=x")
    assert received.header("x-opentoken-key-id") == ["key_1"]
    assert received.header("openai-beta") == ["realtime=v1"]
    assert (received.header("authorization"), received.header("cookie")) == ([], [])
    assert not any(secret in value for _, value in received.headers)


async def test_each_end_hears_how_the_other_ends_it(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Code and reason, whoever begins."""
    realtime = Realtime(upstream)
    secret = authority.issue()
    async with opened(http, port, secret) as socket:
        await socket.close(code=4001, message=b"enough")
    async with asyncio.timeout(SOON):
        await realtime.over.wait()
    assert realtime.sockets[0].close_code == 4001

    async def end(socket: web.WebSocketResponse) -> None:
        await socket.close(code=4002, message=b"too long")

    realtime.talk = end
    async with opened(http, port, secret) as socket:
        assert await ended(socket) == (4002, "too long")


async def test_an_upstream_that_breaks_off_is_told_to_the_client(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Its connection ends without a word: the gateway says so."""

    async def break_off(socket: web.WebSocketResponse) -> None:
        await socket.send_str("and")
        transport = socket._req.transport if socket._req else None
        assert transport is not None
        transport.close()

    Realtime(upstream, break_off)
    async with opened(http, port, authority.issue()) as socket:
        assert await socket.receive_str(timeout=SOON) == "and"
        assert await ended(socket) == (1014, "upstream_unavailable")


async def test_a_client_that_leaves_is_told_to_the_upstream(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """It need not wait for its idle time."""
    realtime = Realtime(upstream)
    async with ClientSession() as http, opened(http, port, authority.issue()) as socket:
        await socket.send_str("x")
        await socket.receive_str(timeout=SOON)
        assert socket._conn is not None
        assert socket._conn.transport is not None
        socket._conn.transport.abort()
        async with asyncio.timeout(SOON):
            await realtime.over.wait()
    assert realtime.sockets[0].close_code == 1001


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(pb.VERDICT_REVOKED, "invalid_key"), (pb.VERDICT_WORKSPACE_SUSPENDED, "workspace_suspended")],
)
async def test_it_ends_with_its_key(
    http: ClientSession,
    port: int,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    verdict: pb.Verdict.ValueType,
    code: str,
) -> None:
    """Both ends hear why, and others run on."""
    realtime = Realtime(upstream)
    dead, other = authority.issue(), authority.issue(valid_reply())
    authority.answers[other].key.id = "key_2"
    authority.answers[other].key.workspace_id = "ws_2"
    await cached(port, authority, dead)
    async with opened(http, port, dead) as socket, opened(http, port, other) as others:
        authority.answers[dead] = reply(verdict, authority.answers[dead].key)
        await authority.change("key_1")

        assert await ended(socket) == (1008, code)
        async with asyncio.timeout(SOON):
            await realtime.over.wait()
        assert realtime.sockets[0].close_code == 1008
        await others.send_str("still here")
        assert await others.receive_str(timeout=SOON) == "still here"


async def test_within_a_message_only_the_end_of_the_connection_is_clear(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """No word of ours goes into a frame of the upstream's."""

    async def begin(socket: web.WebSocketResponse) -> None:
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.write(b"\x81\x05he")
        await asyncio.Event().wait()

    Realtime(upstream, begin)
    secret = authority.issue()
    await cached(port, authority, secret)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(upgrade(f"Authorization: Bearer {secret}"))
    async with asyncio.timeout(SOON):
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(4) == b"\x81\x05he"
        authority.answers[secret] = reply(pb.VERDICT_REVOKED, authority.answers[secret].key)
        await authority.change("key_1")
        with suppress(ConnectionError):
            assert await reader.read() == b""
    writer.close()


def upgrade(*fields: str, handshake: tuple[str, ...] = HANDSHAKE) -> bytes:
    raw = head(*handshake, *fields, target="/v1/realtime")
    return raw.replace(b"Connection: close", b"Connection: Upgrade")


async def test_an_expired_key_ends_it(
    http: ClientSession, start_gateway: StartGateway, authority: RecordingAuthority,
    upstream: FakeUpstream,
) -> None:  # fmt: skip
    """Even where running requests may finish: this one might never."""
    Realtime(upstream)
    port = await start_gateway(websockets=True)
    secret = authority.issue()
    end = datetime.now(UTC) + timedelta(seconds=0.3)
    authority.answers[secret].key.expire_time.FromDatetime(end)

    async with opened(http, port, secret) as socket:
        assert await ended(socket) == (1008, "expired_key")


async def test_without_a_verdict_it_ends_for_now(
    http: ClientSession, start_gateway: StartGateway, authority: RecordingAuthority,
    upstream: FakeUpstream,
) -> None:  # fmt: skip
    """The client may come again, unlike one whose key is bad."""
    Realtime(upstream)
    port = await start_gateway(websockets=True, cache=True, on_revoke="cut", doubt_timeout=0.3)
    secret = authority.issue()
    await cached(port, authority, secret)

    async def fail(context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no")

    async with opened(http, port, secret) as socket:
        authority.misbehave = fail
        await authority.change("key_1")

        assert await ended(socket) == (1013, "verification_unavailable")


async def test_an_expiry_that_is_set_later_ends_it(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """As when a key is rotated, and its old secret holds for a while."""
    Realtime(upstream)
    secret = authority.issue()
    await cached(port, authority, secret)
    async with opened(http, port, secret) as socket:
        end = datetime.now(UTC) + timedelta(seconds=0.3)
        authority.answers[secret].key.expire_time.FromDatetime(end)
        await authority.change("key_1")

        assert await ended(socket) == (1008, "expired_key")
    assert datetime.now(UTC) >= end


@pytest.mark.parametrize("time", ["idle_timeout", "websocket_lifetime"])
async def test_it_ends_when_its_time_is_over(
    http: ClientSession,
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    time: str,
) -> None:
    """If nobody says anything, or after its longest time."""
    Realtime(upstream)
    port = await start_gateway(websockets=True, **{time: 0.3})
    loop = asyncio.get_running_loop()
    start = loop.time()

    async with opened(http, port, authority.issue()) as socket:
        assert await ended(socket) == (1001, time)
    assert loop.time() - start >= 0.3


async def test_it_ends_with_the_gateway(
    http: ClientSession, authority: RecordingAuthority, upstream: FakeUpstream, token_file: Path
) -> None:
    """It has the grace of all requests, then both ends are told."""
    realtime = Realtime(upstream)
    settings = settings_of(
        authority=authority.address,
        token_file=token_file,
        upstream=upstream.url,
        access_log=False,
        websockets=True,
        grace=0.2,
    )
    gateway = running(settings)
    port = await gateway.__aenter__()
    async with opened(http, port, authority.issue()) as socket:
        stopping = asyncio.create_task(gateway.__aexit__(None, None, None))
        assert await ended(socket) == (1001, "stopped")
        async with asyncio.timeout(SOON):
            await realtime.over.wait()
            await stopping
    assert realtime.sockets[0].close_code == 1001


async def test_an_open_one_counts_as_a_request_of_its_key(
    http: ClientSession, start_gateway: StartGateway, authority: RecordingAuthority,
    upstream: FakeUpstream,
) -> None:  # fmt: skip
    """Until it has ended."""
    Realtime(upstream)
    port = await start_gateway(websockets=True, max_requests_per_key=1)
    secret = authority.issue()

    async def is_admitted() -> bool:
        answer = parse(await exchange(port, head(f"Authorization: Bearer {secret}")))
        assert answer.status in (200, 429)
        return answer.status == 200

    async with opened(http, port, secret) as socket:
        assert not await is_admitted()
        await socket.close()
    await eventually(is_admitted)


async def test_an_end_that_does_not_read_is_not_read_for(
    http: ClientSession, start_gateway: StartGateway, authority: RecordingAuthority,
    upstream: FakeUpstream,
) -> None:  # fmt: skip
    """The gateway keeps little of what waits for it; once it reads, nothing is missing."""
    pieces, sent = 256, 0
    piece = b"x" * 64 * 1024

    async def pour(socket: web.WebSocketResponse) -> None:
        nonlocal sent
        for _ in range(pieces):
            await socket.send_bytes(piece)
            sent += 1
        await socket.receive()

    Realtime(upstream, pour)
    port = await start_gateway(websockets=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    writer.write(upgrade(f"Authorization: Bearer {authority.issue()}"))
    async with asyncio.timeout(SOON):
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < pieces // 2
        read = 0
        while read < pieces * (len(piece) + 10):
            read += len(await reader.read(1024 * 1024))
    assert sent == pieces
    writer.close()


async def test_what_comes_before_the_answer_leaves_reading_in_hand(
    start_gateway: StartGateway, authority: RecordingAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends at once, to an upstream that opens late and does not read, has to wait."""
    early, most = b"\x82\x7f" + (2**40).to_bytes(8, "big") + bytes(400 * 1024), 32 * 1024 * 1024

    over = asyncio.Event()

    def small(address: AddrInfoType) -> socket.socket:
        connecting = socket.socket(*address[:3])
        # Else the system takes what came early, and nothing waits in the gateway.
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        return connecting

    async def open_late(peer: Peer) -> None:
        peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await peer.request()
        cast(asyncio.Transport, peer.writer.transport).pause_reading()
        await asyncio.sleep(0.1)
        peer.writer.write(OPENED)
        await over.wait()

    monkeypatch.setattr("gateway.pool._small_window", small)
    async with serving(open_late) as upstream:
        port = await start_gateway(websockets=True, upstream=f"http://127.0.0.1:{upstream.port}")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade(f"Authorization: Bearer {authority.issue()}") + early)
        async with asyncio.timeout(SOON):
            await reader.readuntil(b"\r\n\r\n")
        sent, piece = 0, bytes(256 * 1024)
        with suppress(TimeoutError):
            while sent < most:
                writer.write(piece)
                async with asyncio.timeout(0.5):
                    await writer.drain()
                sent += len(piece)
        writer.transport.abort()
        over.set()
    assert sent < most


@pytest.mark.parametrize("drop", ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Connection"])
async def test_half_a_handshake_is_refused(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, drop: str
) -> None:
    """Nothing of it goes on."""
    lines = upgrade(f"Authorization: Bearer {authority.issue()}").split(b"\r\n")
    raw = b"\r\n".join(line for line in lines if not line.startswith(drop.encode()))

    answer = parse(await exchange(port, raw))

    check_envelope(answer, Refusal.BAD_REQUEST)
    assert upstream.received == []


@pytest.mark.parametrize(
    "fields",
    [
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",),
        ("Sec-WebSocket-Version: 8",),
        ("Content-Length: 2",),
        ("Transfer-Encoding: chunked",),
        ("Upgrade: h2c",),
    ],
    ids=" ".join,
)
async def test_a_handshake_that_says_more_is_refused(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, fields: tuple[str, ...]
) -> None:
    """Two readers might take it for different things."""
    raw = upgrade(f"Authorization: Bearer {authority.issue()}", *fields)

    assert parse(await exchange(port, raw)).status == 400
    assert upstream.received == []


@pytest.mark.parametrize(
    ("answer", "scopes", "refusal"),
    [
        (reply(pb.VERDICT_REVOKED), (), Refusal.INVALID_KEY),
        (valid_reply("models:read"), ("realtime:write",), Refusal.INSUFFICIENT_SCOPE),
    ],
    ids=["key", "scope"],
)
async def test_it_is_for_those_who_may(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    answer: pb.VerifyResponse,
    scopes: tuple[str, ...],
    refusal: Refusal,
) -> None:
    """The same verdict as of any request, in an envelope that the client can read."""
    port = await start_gateway(websockets=True, scope_rules=default_catalogue())
    raw = upgrade(f"Authorization: Bearer {authority.issue(answer)}")

    check_envelope(parse(await exchange(port, raw, upgrade())), refusal, " ".join(scopes))
    assert upstream.received == []


async def test_an_upstream_that_wants_none_is_heard(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Its answer is one as to any request; an answer to another question is none."""
    raw = upgrade(f"Authorization: Bearer {authority.issue()}")

    async def refuse(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"error": "no"}, status=404)

    async def unconnected(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(OPENED.replace(b"Connection: Upgrade\r\n", b""))
        await asyncio.sleep(60)
        raise AssertionError

    async def mistake(request: web.BaseRequest) -> web.StreamResponse:
        fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "x"}
        return web.Response(status=101, headers=fields)

    upstream.respond = refuse
    answered = parse(await exchange(port, raw))
    upstream.respond = mistake
    mistaken = parse(await exchange(port, raw))
    upstream.respond = unconnected
    half = parse(await exchange(port, raw))

    assert (answered.status, json.loads(answered.body)) == (404, {"error": "no"})
    check_envelope(mistaken, Refusal.UPSTREAM_UNAVAILABLE)
    check_envelope(half, Refusal.UPSTREAM_UNAVAILABLE)


async def test_a_page_sends_its_key_in_a_subprotocol(
    http: ClientSession, start_gateway: StartGateway, authority: RecordingAuthority,
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """It can set no header field. The key goes neither upstream nor into the log."""
    Realtime(upstream)
    port = await start_gateway(websockets=True, cors_origin=(PAGE,), access_log=True)
    secret = authority.issue()
    protocols = ("realtime", f"openai-insecure-api-key.{secret}", "openai-beta.realtime-v1")
    url = f"ws://127.0.0.1:{port}/v1/realtime"

    async with http.ws_connect(url, protocols=protocols, headers={"Origin": PAGE}) as socket:
        assert socket.protocol == "realtime"
        await socket.send_str("x")
        assert await socket.receive_str(timeout=SOON) == "x"

    [received] = upstream.received
    assert received.header("sec-websocket-protocol") == ["realtime, openai-beta.realtime-v1"]
    assert not any(secret in value for _, value in received.headers)
    assert secret not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(["Origin: https://evil.example"], 401, id="page"),
        pytest.param([], 401, id="no-page"),
        pytest.param([f"Origin: {PAGE}", "Authorization: Bearer x"], 401, id="two"),
        pytest.param([f"Origin: {PAGE}", "X-Api-Key: x"], 401, id="two-headers"),
        pytest.param([f"Origin: {PAGE}", "Sec-WebSocket-Protocol: SECRET"], 400, id="bare"),
    ],
)
async def test_a_key_in_a_subprotocol_is_for_pages_that_may_call(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream,
    fields: list[str], status: int,
) -> None:  # fmt: skip
    """Others have a header field; a key that is not said to be one has no business there."""
    settings = {"websockets": True, "cors_origin": (PAGE,), "key_header": ("x-api-key",)}
    port = await start_gateway(**settings)
    secret = authority.issue()
    lines = [line.replace("SECRET", secret) for line in fields]
    protocol = f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{secret}"

    answer = parse(await exchange(port, upgrade(protocol, *lines)))

    assert answer.status == status
    assert (authority.asked, upstream.received) == ([], [])


async def test_without_the_flag_it_is_refused(
    http: ClientSession, start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Clients show the status and, some of them, the envelope."""
    port = await start_gateway()

    with pytest.raises(WSServerHandshakeError) as refused:
        async with opened(http, port, authority.issue()):
            pass

    assert refused.value.status == 400
