"""Responses and requests that are there whole: framed as HTTP asks, written in one piece."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from tests.gateway.conftest import StartGateway
from tests.gateway.parts import FakeUpstream, RecordingAuthority, exchange, head, parse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("method", "status", "length"),
    [
        ("GET", 200, ["5"]),
        # As a GET would have had it, without the body.
        ("HEAD", 200, ["5"]),
        ("GET", 204, []),
        ("GET", 304, []),
    ],
)
async def test_a_whole_response_is_framed_by_its_length(
    port: int,
    authority: RecordingAuthority,
    upstream: FakeUpstream,
    method: str,
    status: int,
    length: list[str],
) -> None:
    """Where there can be a body, and never by chunks."""

    async def respond(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text="whole" if status == 200 else None)

    upstream.respond = respond
    request = head(f"Authorization: Bearer {authority.issue()}", method=method)

    answer = parse(await exchange(port, request))

    assert answer.status == status
    assert answer.header("content-length") == length
    assert answer.header("transfer-encoding") == []
    assert answer.body == (b"whole" if (method, status) == ("GET", 200) else b"")
    for name in ("date", "x-request-id", "connection"):
        assert len(answer.header(name)) == 1


async def test_a_refusal_of_a_head_request_has_no_body(port: int) -> None:
    """The length is that of the envelope which a GET would get."""
    refused = parse(await exchange(port, head()))
    answer = parse(await exchange(port, head(method="HEAD")))

    assert answer.header("content-length") == [str(len(refused.body))]
    assert answer.body == b""


@pytest.mark.parametrize(
    ("version", "asked", "told"),
    [
        ("1.1", [], []),
        ("1.1", ["Connection: close"], ["close"]),
        ("1.0", [], []),
        ("1.0", ["Connection: keep-alive"], ["keep-alive"]),
    ],
)
async def test_the_answer_says_whether_the_connection_stays(
    port: int, version: str, asked: list[str], told: list[str]
) -> None:
    """Only where that is not what the version of HTTP means anyway."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = ["Host: a", *asked, "", ""]
    writer.write("\r\n".join([f"GET /healthz HTTP/{version}", *fields]).encode())
    answer = parse(await asyncio.wait_for(reader.readuntil(b"}"), 2))
    writer.close()

    assert answer.header("connection") == told


async def test_two_requests_at_once_get_two_answers(port: int) -> None:
    """Each whole, in order, over the one connection."""
    both = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" + head(target="/v1/models")

    first, rest = (await exchange(port, both)).split(b"}", 1)

    assert parse(first + b"}").status == 200
    assert parse(rest).status == 401


async def test_a_small_body_is_sent_again_whole(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """When the upstream closes an idle connection just as a request that may be repeated comes."""
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        received.append(await reader.readexactly(4))
        if len(received) != 2:
            writer.write(OK)
        if len(received) == 1:
            await reader.readuntil(b"\r\n\r\n")
            received.append(await reader.readexactly(4))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        port = await start_gateway(upstream=upstream)
        fields = (f"Authorization: Bearer {authority.issue()}", "Content-Length: 4")
        for body in (b"body", b"late"):
            request = head(*fields, method="PUT") + body
            assert parse(await exchange(port, request)).status == 200

    assert received == [b"body", b"late", b"late"]
