"""The HTTP/1 kit with a user of its own: whatever is refused, it is refused in the user's words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from typing import cast

import pytest
from aiohttp import web
from multidict import CIMultiDict

from keyauthority.base.http.answer import Answer, raw_answer
from keyauthority.base.http.connection import AtOnce, Connection
from keyauthority.base.http.limits import Limits
from keyauthority.base.http.request import Request
from keyauthority.base.http.server import Server
from keyauthority.base.process.binding import bind

SOON = 10.0
GOOD = b"GET / HTTP/1.1\r\nHost: here\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def serving(
    limits: Limits | None = None, at_once: AtOnce | None = None
) -> AsyncIterator[tuple[Server[Request], int]]:
    """A server that answers with the request's id, whose words are `refused 400` and `full`."""

    async def handle(request: Request) -> web.StreamResponse:
        return Answer(200, CIMultiDict(), request.id.encode())

    def refuse(_: Request, status: int) -> web.StreamResponse:
        return Answer(status, CIMultiDict(), b"refused %d" % status)

    def full() -> bytes:
        return raw_answer(503, {"Retry-After": "1"}, b"full")

    server = Server(handle, refuse, full, Request, limits or Limits(), "hush", at_once)
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


def quickly(request: Request) -> Answer | None:
    """Answers with the path in capitals; what is slow has to wait; what is bad, or worse, breaks."""
    if request.raw_path == "/quick/worse":
        raise RuntimeError("worse")
    if request.raw_path == "/quick/slow":
        return None
    fields = CIMultiDict({"X-Bad": "a\r\nb"} if request.raw_path == "/quick/bad" else {})
    return Answer(200, fields, request.raw_path.upper().encode())


QUICK = AtOnce("/quick", quickly)


def get(target: bytes, *, last: bool = False, body: bytes = b"") -> bytes:
    lines = [b"GET %s HTTP/1.1" % target, b"Host: here", b"X-Request-Id: an-id"]
    lines += [b"Connection: close"] * last + [b"Content-Length: %d" % len(body)] * bool(body)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def bodies(port: int, *sent: bytes) -> list[bytes]:
    """The bodies of the answers, each piece sent when the one before is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    with closing(writer):
        for piece in sent:
            writer.write(piece)
            for _ in range(piece.count(b" HTTP/1.1")):
                async with asyncio.timeout(SOON):
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = re.search(b"content-length: ([0-9]+)", head.lower())
                    assert length is not None
                    answers.append(await reader.readexactly(int(length[1])))
        if b"connection: close" in head.lower():
            assert await asyncio.wait_for(reader.read(), SOON) == b""
    return answers


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param(get(b"/quick/1"), b"/QUICK/1", id="nothing-to-wait-for"),
        pytest.param(get(b"/quick/1", last=True), b"/QUICK/1", id="the-last"),
        pytest.param(get(b"/quick/slow"), b"an-id", id="something-to-wait-for"),
        pytest.param(get(b"/other"), b"an-id", id="another-target"),
        pytest.param(get(b"/quick/1", body=b"body"), b"an-id", id="a-body"),
    ],
)
async def test_what_waits_for_nothing_is_answered_at_once(sent: bytes, answer: bytes) -> None:
    """On a connection that has had an answer; it goes on, or ends, as with any answer."""
    async with serving(at_once=QUICK) as (_, port):
        assert await bodies(port, get(b"/first"), sent) == [b"an-id", answer]
        last = get(b"/last", last=True)
        if b"close" not in sent:
            assert await bodies(port, get(b"/first"), sent, sent, last) == [
                b"an-id", answer, answer, b"an-id"
            ]  # fmt: skip


async def test_answers_at_once_overtake_no_other() -> None:
    """Requests that come together are answered in their order, each by the handler."""
    async with serving(at_once=QUICK) as (_, port):
        together = get(b"/quick/1") + get(b"/quick/2")
        answers = await bodies(port, get(b"/first"), together, get(b"/quick/3"))

    assert answers == [b"an-id", b"an-id", b"an-id", b"/QUICK/3"]


async def test_a_connection_does_not_idle_while_it_is_answered_at_once() -> None:
    """Each answer begins its idle time anew; then it is closed as any other."""
    async with serving(Limits(keepalive_timeout=0.3), QUICK) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(get(b"/first"))
            for number in range(4):
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(0.15)
                writer.write(get(b"/quick/%d" % number))
            rest = await asyncio.wait_for(reader.read(), SOON)

    assert rest.endswith(b"/QUICK/3")


async def connected(
    server: Server[Request], port: int, stack: ExitStack
) -> tuple[Connection, asyncio.StreamReader]:
    """A connection that has had an answer, seen from the server, and its client's reader."""
    before = set(server.connections)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.enter_context(closing(writer))
    writer.write(get(b"/first"))
    await reader.readuntil(b"\r\n\r\nan-id")
    [connection] = set(server.connections) - before
    return cast(Connection, connection), reader


async def test_requests_of_one_round_are_answered_whatever_becomes_of_the_others() -> None:
    """One that breaks ends its connection, one whose client is gone has none, the others go on."""
    async with serving(at_once=QUICK) as (server, port):
        with ExitStack() as stack:
            good, broken, gone, slow = [await connected(server, port, stack) for _ in range(4)]
            for (connection, _), target in (
                (broken, b"/quick/worse"),
                (gone, b"/quick/gone"),
                (good, b"/quick/good"),
                (slow, b"/quick/slow"),
            ):
                connection.data_received(get(target))
            gone[0].force_close()
            async with asyncio.timeout(SOON):
                assert b"/QUICK/GOOD" in await good[1].readuntil(b"GOOD")
                assert b"an-id" in await slow[1].readuntil(b"\r\n\r\nan-id")
                assert await broken[1].read() == b""
                assert await gone[1].read() == b""
            good[0].data_received(get(b"/quick/again"))
            assert b"/QUICK/AGAIN" in await asyncio.wait_for(good[1].readuntil(b"AGAIN"), SOON)


async def test_what_comes_before_the_end_of_the_round_waits_its_turn() -> None:
    """A second request in the same round is answered after the first, by the handler as that one."""
    async with serving(at_once=QUICK) as (server, port):
        with ExitStack() as stack:
            connection, reader = await connected(server, port, stack)
            connection.data_received(get(b"/quick/1"))
            connection.data_received(get(b"/quick/2"))
            async with asyncio.timeout(SOON):
                for _ in range(2):
                    assert b"200" in await reader.readuntil(b"\r\n\r\nan-id")
            connection.data_received(get(b"/quick/3"))
            connection.data_received(get(b"/quick/4")[:20])
            assert b"/QUICK/3" in await asyncio.wait_for(reader.readuntil(b"/3"), SOON)
            connection.data_received(get(b"/quick/4")[20:])
            assert b"/QUICK/4" in await asyncio.wait_for(reader.readuntil(b"/4"), SOON)


TRAILER = (
    b"POST /a HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\nx\r\n0\r\nX-Request-Id: smuggled\r\n\r\n"
)


@pytest.mark.parametrize("target", [b"/b", b"/quick/b"])
@pytest.mark.parametrize("pipelined", [True, False])
async def test_a_trailer_gets_into_no_other_request(target: bytes, *, pipelined: bool) -> None:
    """Its field could be a credential. The client is told to send the next on another connection."""
    following = b"GET %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n" % target
    async with serving(at_once=QUICK) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(TRAILER + following * pipelined)
            received = await reader.readuntil(b"\r\n\r\n")
            if not pipelined:
                writer.write(following)
            async with asyncio.timeout(SOON):
                with suppress(ConnectionError):
                    received += await reader.read()

    assert received.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in received
    assert b"connection: close" in received.lower()


async def test_a_line_break_in_an_answer_at_once_ends_the_connection() -> None:
    """Nothing of it is sent."""
    async with serving(at_once=QUICK) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            writer.write(get(b"/first"))
            await reader.readuntil(b"an-id")
            await reader.readuntil(b"an-id")
            writer.write(get(b"/quick/bad"))
            assert await asyncio.wait_for(reader.read(), SOON) == b""
