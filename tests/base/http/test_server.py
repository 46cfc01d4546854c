"""The HTTP/1 kit with a user of its own: whatever is refused, it is refused in the user's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
from aiohttp import web
from multidict import CIMultiDict

from keyauthority.base.http.answer import Answer, raw_answer
from keyauthority.base.http.limits import Limits
from keyauthority.base.http.request import Request
from keyauthority.base.http.server import Server
from keyauthority.base.process.binding import bind

SOON = 10.0
GOOD = b"GET / HTTP/1.1\r\nHost: here\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def serving(limits: Limits | None = None) -> AsyncIterator[tuple[Server[Request], int]]:
    """A server that answers with the request's id, whose words are `refused 400` and `full`."""

    async def handle(request: Request) -> web.StreamResponse:
        return Answer(200, CIMultiDict(), request.id.encode())

    def refuse(_: Request, status: int) -> web.StreamResponse:
        return Answer(status, CIMultiDict(), b"refused %d" % status)

    def full() -> bytes:
        return raw_answer(503, {"Retry-After": "1"}, b"full")

    server = Server(handle, refuse, full, Request, limits or Limits(), "hush")
    listener = await server.listen(bind("127.0.0.1:0"), None)
    try:
        yield server, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await server.drain(0.1)


async def exchange(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        writer.write(sent)
        async with asyncio.timeout(SOON):
            return await reader.read()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"no request at all\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: here\r\nX: " + b"x" * 2000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 20 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost:", 408),
    ],
)
async def test_what_is_no_request_is_refused_by_the_user(sent: bytes, status: int) -> None:
    """It is told the status, and finds the words."""
    limits = Limits(max_header_bytes=1000, max_headers=10, header_timeout=0.1)
    async with serving(limits) as (_, port):
        answer = await exchange(port, sent)

    assert answer.split(b" ")[1] == b"%d" % status
    assert answer.endswith(b"\r\n\r\nrefused %d" % status)


async def test_a_connection_too_many_is_told_so_by_the_user() -> None:
    """Before it has said anything."""
    async with serving(Limits(max_connections=0)) as (_, port):
        answer = await exchange(port, b"")

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nx-request-id: req_" in answer
    assert answer.endswith(b"\r\n\r\nfull")


@pytest.mark.parametrize(
    ("presented", "kept"), [(b"lb-1", True), (b"with space", False), (b"hush-1", False)]
)
async def test_an_id_is_kept_unless_it_holds_a_secret(presented: bytes, *, kept: bool) -> None:
    """What marks a secret is the user's to say."""
    async with serving() as (_, port):
        body = (await exchange(port, GOOD % presented)).partition(b"\r\n\r\n")[2]

    assert (body == presented) is kept
    assert kept or body.startswith(b"req_")


async def test_a_server_that_leaves_lets_each_client_go_with_its_answer() -> None:
    """Those that are there and those that still come: no answer keeps its connection alive."""
    request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
    async with serving() as (server, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(request)
            before = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(28)
            server.leave()
            writer.write(request)
            after = await asyncio.wait_for(reader.read(), SOON)
        newcomer = await exchange(port, request)

    assert b"close" not in before.lower()
    assert b"connection: close" in after.lower()
    assert b"connection: close" in newcomer.lower()
