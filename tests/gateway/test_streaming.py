"""Bodies in both directions: passed on at once, cancelled with their client, never cut unnoticed."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import ClientError, ClientPayloadError, ClientSession, web

from keyauthority.edge.envelope import Refusal
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse
from tests.gateway.test_table import check_envelope

EVENT = b'data: {"n":1}\n\n'
SSE = {"Content-Type": "text/event-stream; charset=utf-8"}


class Stream:
    """An upstream's response that the test writes piece by piece."""

    def __init__(self, headers: dict[str, str], *first: bytes) -> None:
        self.headers = headers
        self.first = first
        self.then: Callable[[web.StreamResponse], Awaitable[None]] = _nothing
        self.go_on = asyncio.Event()

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers=self.headers)
        await response.prepare(request)
        for piece in self.first:
            await response.write(piece)
        await self.go_on.wait()
        await self.then(response)
        return response


async def _nothing(_: web.StreamResponse) -> None:
    pass


async def break_off(response: web.StreamResponse) -> None:
    assert response._req is not None
    assert response._req.transport is not None
    response._req.transport.abort()


def bearer(authority: RecordingAuthority) -> dict[str, str]:
    return {"Authorization": f"Bearer {authority.issue()}"}


async def test_each_event_is_passed_on_at_once(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The headers before any event, and an event before the next exists."""
    stream = Stream(SSE)
    upstream.respond = stream.respond
    stream.then = lambda response: response.write(EVENT)
    url = f"http://127.0.0.1:{port}/v1/chat"

    async with http.post(url, headers=bearer(authority)) as response:
        assert response.status == 200
        stream.go_on.set()
        assert await response.content.readany() == EVENT
        assert await response.content.readany() == b""


async def test_a_large_response_arrives_whole(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """With and without a declared length."""
    large = bytes(range(256)) * 20_000

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        if request.raw_path == "/v1/length":
            return web.Response(body=large)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(large)
        return response

    upstream.respond = respond

    for path in ("length", "chunked"):
        url = f"http://127.0.0.1:{port}/v1/{path}"
        async with http.get(url, headers=bearer(authority)) as response:
            assert await response.read() == large


async def test_a_large_request_arrives_whole(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """With its length if it has one, in chunks if not; encoded bodies stay encoded."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        received = bytearray()
        async for piece in request.content.iter_any():
            received += piece
        upstream.received[-1].body = bytes(received)
        return web.Response()

    upstream.respond = respond
    large = bytes(range(256)) * 20_000

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    url, headers = f"http://127.0.0.1:{port}/v1/files", bearer(authority)
    await http.post(url, headers=headers, data=io.BytesIO(large))
    await http.post(url, headers=headers, data=chunks())
    headers["Content-Encoding"] = "gzip"
    await http.post(url, headers=headers, data=io.BytesIO(gzip.compress(large)))

    with_length, chunked, encoded = upstream.received
    assert with_length.header("content-length") == [str(len(large))]
    assert chunked.header("transfer-encoding") == ["chunked"]
    assert with_length.body == chunked.body == gzip.decompress(encoded.body) == large


async def test_a_request_is_passed_on_while_it_is_sent(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The upstream hears of it with its head, and may answer before its end."""

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        piece = await request.content.readany()
        return web.Response(body=b"saw " + piece)

    upstream.respond = respond
    start = head(
        f"Authorization: Bearer {authority.issue()}", "Content-Length: 1000", method="POST"
    )

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    await asyncio.wait_for(upstream.reached.wait(), 2)
    writer.write(b"the first piece")

    assert parse(await asyncio.wait_for(reader.read(), 2)).body == b"saw the first piece"
    writer.close()


@pytest.mark.parametrize("started", [True, False])
async def test_the_upstream_is_left_with_the_client(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream, *, started: bool
) -> None:
    """Before its first byte and amid its stream: nobody pays for an answer nobody reads."""
    stream = Stream(SSE, EVENT)
    upstream.respond = stream.respond if started else _hang
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head(f"Authorization: Bearer {authority.issue()}"))
    if started:
        await reader.readuntil(b"data:")
    await asyncio.wait_for(upstream.reached.wait(), 2)

    writer.close()

    async with asyncio.timeout(2):
        await upstream.gone.wait()


async def _hang(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError


async def test_a_broken_event_stream_ends_with_an_error_event(
    http: ClientSession, port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The SDKs take an orderly end for success, even without [DONE]."""
    stream = Stream(SSE, EVENT)
    stream.then = break_off
    upstream.respond = stream.respond

    url = f"http://127.0.0.1:{port}/v1/chat"
    async with http.get(url, headers=bearer(authority)) as response:
        stream.go_on.set()
        text = await response.text()

    *_, last, end = text.split("\n\n")
    name, data = last.split("\n")
    assert text.startswith(EVENT.decode())
    assert (name, end) == ("event: error", "")
    assert json.loads(data.removeprefix("data: "))["error"]["code"] == "upstream_unavailable"


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        pytest.param(SSE, b'data: {"n":', id="within-an-event"),
        pytest.param({**SSE, "Content-Encoding": "gzip"}, b"\x1f\x8b\n\n", id="encoded-events"),
        pytest.param({"Content-Type": "application/json"}, b'{"a":', id="chunked"),
        pytest.param({"Content-Length": "100"}, b"half", id="length"),
    ],
)
async def test_any_other_broken_response_is_aborted(
    port: int,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    headers: dict[str, str],
    first: bytes,
) -> None:
    """Where nothing more can be said, the connection says it."""
    stream = Stream(headers, first)
    stream.then = break_off
    stream.go_on.set()
    upstream.respond = stream.respond
    async with ClientSession(auto_decompress=False) as http:
        url = f"http://127.0.0.1:{port}/v1/chat"
        with pytest.raises((ClientPayloadError, ClientError)):
            async with http.get(url, headers=bearer(authority)) as response:
                await response.read()


async def test_a_broken_response_to_http_1_0_resets_the_connection(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """There the orderly end of the connection would be the end of the response."""
    stream = Stream({}, b"half")
    stream.then = break_off
    upstream.respond = stream.respond
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"GET /v1/x HTTP/1.0\r\nAuthorization: Bearer {authority.issue()}\r\n\r\n".encode()
    )
    await reader.readuntil(b"half")
    stream.go_on.set()

    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()


async def test_a_response_without_length_ends_the_connection_of_http_1_0(
    port: int, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Even if the client asked to keep it."""
    stream = Stream({}, b"half")
    stream.then = lambda response: response.write(b" whole")
    upstream.respond = stream.respond
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    secret = authority.issue()
    writer.write(b"GET /v1/x HTTP/1.0\r\nConnection: keep-alive\r\n")
    writer.write(f"Authorization: Bearer {secret}\r\n\r\n".encode())
    await reader.readuntil(b"half")
    stream.go_on.set()

    async with asyncio.timeout(2):
        assert await reader.read() == b" whole"
    writer.close()


async def test_an_upstream_that_does_not_answer_is_left(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """It had its time until the first byte."""
    port = await start_gateway(first_byte_timeout=0.1)
    upstream.respond = _hang

    answer = parse(await exchange(port, head(f"Authorization: Bearer {authority.issue()}")))

    check_envelope(answer, Refusal.UPSTREAM_TIMEOUT)
    await asyncio.wait_for(upstream.gone.wait(), 2)


@pytest.mark.parametrize("first", [[], [EVENT]])
async def test_an_upstream_that_falls_silent_is_left(
    start_gateway: StartGateway,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    first: list[bytes],
) -> None:
    """After its headers or amid its events: the stream ends with an event that says so."""
    port = await start_gateway(first_byte_timeout=60, idle_timeout=0.1)
    upstream.respond = Stream(SSE, *first).respond

    async with asyncio.timeout(2):
        raw = await exchange(port, head(f"Authorization: Bearer {authority.issue()}"))

    answer = parse(raw)
    assert answer.status == 200
    assert b'"code":"upstream_timeout"' in answer.body
    await asyncio.wait_for(upstream.gone.wait(), 2)


async def test_an_upstream_that_does_not_read_is_left(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """The client's upload cannot go on, and it is not the client's fault."""
    stalled = asyncio.Event()

    async def ignore(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await stalled.wait()
        writer.close()

    async with await asyncio.start_server(ignore, "127.0.0.1", 0, limit=1024) as server:
        address = server.sockets[0].getsockname()[1]
        port = await start_gateway(upstream=f"http://127.0.0.1:{address}", first_byte_timeout=0.3)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        fields = [f"Authorization: Bearer {authority.issue()}", "Content-Length: 50000000"]
        writer.write(head(*fields, method="POST") + bytes(20_000_000))

        async with asyncio.timeout(5):
            raw = await reader.readuntil(b"}}")

        check_envelope(parse(raw), Refusal.UPSTREAM_TIMEOUT)
        stalled.set()
        writer.close()


async def test_a_slow_upload_that_goes_on_is_not_cut(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Longer than the wait for the first byte, which each piece begins anew."""
    port = await start_gateway(first_byte_timeout=0.2)
    fields = [f"Authorization: Bearer {authority.issue()}", "Content-Length: 10"]

    raw = await exchange(port, head(*fields, method="POST"), *[b"x"] * 10, pause=0.05)

    assert parse(raw).status == 200
    assert upstream.received[0].body == b"x" * 10


async def test_an_answer_may_be_awaited_longer_than_a_silence_may_last(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """Thinking before the first byte is not silence within a response."""
    port = await start_gateway(first_byte_timeout=5, idle_timeout=0.1)

    async def think(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(body=b"thought")

    upstream.respond = think

    answer = parse(await exchange(port, head(f"Authorization: Bearer {authority.issue()}")))

    assert answer.body == b"thought"


async def test_a_client_that_does_not_read_is_left(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """It may hold the upstream only so long; meanwhile nothing piles up here."""
    port = await start_gateway(idle_timeout=0.2)

    async def respond(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(100_000))

    upstream.respond = respond
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(head(f"Authorization: Bearer {authority.issue()}"))

    await asyncio.wait_for(upstream.gone.wait(), 5)
    writer.close()


async def test_an_early_answer_survives_its_request_failing_later(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """A body that breaks its limits after the answer began ends that answer as broken."""
    port = await start_gateway(max_body_bytes=10)
    stream = Stream(SSE, EVENT)
    upstream.respond = stream.respond
    start = head(
        f"Authorization: Bearer {authority.issue()}", "Transfer-Encoding: chunked", method="POST"
    )

    raw = await exchange(port, start + b"1\r\na\r\n", b"20\r\n" + b"x" * 32 + b"\r\n", pause=0.1)

    answer = parse(raw)
    assert answer.status == 200
    assert b"event: error" in answer.body


async def test_an_unreadable_response_is_no_answer(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Garbage, nothing, or control characters in its headers: the upstream is unavailable."""
    answers = [
        b"garbage\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\nA: b\x01c\r\nContent-Length: 0\r\n\r\n",
    ]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0))
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = await start_gateway(
            upstream=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        )
        while answers:
            raw = await exchange(
                port,
                head(f"Authorization: Bearer {authority.issue()}", method="POST"),
            )
            check_envelope(parse(raw), Refusal.UPSTREAM_UNAVAILABLE)
