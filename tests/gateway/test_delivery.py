"""Clients that do not read what they asked for."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web

from keyauthority.base.http.delivery import HIGH_WATER, Delivery, Unread
from keyauthority.edge.envelope import Refusal
from keyauthority.v1 import verification_service_pb2 as pb
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import (
    FakeUpstream,
    RecordingAuthority,
    exchange,
    head,
    parse,
    reply,
    valid_reply,
)
from tests.gateway.test_table import check_envelope

SOON = 20.0
"""Seconds that anything here may take on a busy machine."""

PIECE = b"x" * 64 * 1024
PIECES = 32


@asynccontextmanager
async def client(port: int) -> AsyncIterator[socket.socket]:
    """A connection of which nothing is read unless the test does."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield sock


def is_reset(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110  # what it asks can't wake us
            await asyncio.sleep(0.01)


def request(secret: str, *fields: str) -> bytes:
    lines = ["GET /v1/models HTTP/1.1", "Host: gateway", f"Authorization: Bearer {secret}"]
    return "\r\n".join([*lines, *fields]).encode() + b"\r\n\r\n"


async def ask(port: int, secret: str) -> bytes:
    return await exchange(port, head(f"Authorization: Bearer {secret}"))


async def endless(asked: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(asked)
    while True:
        await response.write(PIECE)


async def large(asked: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(asked)
    for _ in range(PIECES):
        await response.write(PIECE)
    return response


async def test_answers_without_a_key_are_not_kept_for_ever(start_gateway: StartGateway) -> None:
    """As many requests in a row as the gateway takes, and none of the answers is read."""
    port = await start_gateway(send_timeout=0.3)
    requests = b"GET /v1/models HTTP/1.1\r\nHost: gateway\r\n\r\n" * 50
    async with client(port) as sock:

        def send() -> bool:
            try:
                sock.send(requests)
            except BlockingIOError:
                pass
            except ConnectionError:
                return True
            return is_reset(sock)

        await until(send)


async def test_nor_is_an_upstreams(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """It has a time of its own, and the upstream is let go."""
    upstream.respond = endless
    port = await start_gateway(send_timeout=60, idle_timeout=0.3)
    async with client(port) as sock:
        sock.send(request(authority.issue()))
        await until(lambda: is_reset(sock))
    await asyncio.wait_for(upstream.gone.wait(), SOON)


async def test_a_slow_client_is_not_cut(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """However long it takes: it has only to take some of it."""
    upstream.respond = large
    port = await start_gateway(idle_timeout=2, send_timeout=2)
    async with client(port) as sock:
        sock.send(request(authority.issue(), "Connection: close"))
        received = 0
        loop = asyncio.get_running_loop()
        while chunk := await loop.sock_recv(sock, len(PIECE)):
            received += len(chunk)
            await asyncio.sleep(0.01)
    assert received > PIECES * len(PIECE)


class Lost(asyncio.Protocol):
    """Tells the delivery what happens to its connection."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.delivery: Delivery | None = None

    def pause_writing(self) -> None:
        assert self.delivery is not None
        self.delivery.pause()

    def connection_lost(self, exc: Exception | None) -> None:
        assert self.delivery is not None
        self.delivery.end()
        self.lost.set()


@asynccontextmanager
async def delivering(
    patience: float,
) -> AsyncIterator[tuple[asyncio.Transport, Lost, socket.socket]]:
    """A connection that little fits into, and its other end."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(Lost, sock=ours)
        protocol.delivery = Delivery(transport, Unread(10_000_000), patience, loop)
        yield transport, protocol, theirs
        transport.abort()
        await asyncio.wait_for(protocol.lost.wait(), SOON)


async def test_a_close_does_not_wait_for_ever() -> None:
    """Not for bytes that are too few to hold up whoever wrote them, either."""
    async with delivering(0.2) as (transport, protocol, _):
        transport.write(b"x" * 60_000)
        assert protocol.delivery is not None
        protocol.delivery.watch()
        transport.close()
        assert transport.get_write_buffer_size() > 0
        await asyncio.wait_for(protocol.lost.wait(), SOON)


async def test_taking_some_is_enough() -> None:
    """Though who writes has to wait all the time, for much longer than nothing may be taken."""
    patience = 1.0
    async with delivering(patience) as (transport, protocol, client):
        transport.write(b"x" * 1_000_000)
        loop = asyncio.get_running_loop()
        end = loop.time() + 3 * patience
        while loop.time() < end:
            await loop.sock_recv(client, 8_000)
            await asyncio.sleep(0.05)
        assert not protocol.lost.is_set()
        assert transport.get_write_buffer_size() > HIGH_WATER
        await asyncio.wait_for(protocol.lost.wait(), SOON)


async def test_one_key_has_so_many_requests_at_a_time(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The next one is told to come again soon; other keys are not concerned."""
    go_on = asyncio.Event()

    async def wait(_: web.BaseRequest) -> web.StreamResponse:
        await go_on.wait()
        return web.Response()

    upstream.respond = wait
    port = await start_gateway(max_requests_per_key=2)
    one, another = authority.issue(), authority.issue(named("key_2"))
    running = [asyncio.create_task(ask(port, key)) for key in (one, one, another)]
    await until(lambda: len(upstream.received) == 3)

    refused = parse(await ask(port, one))
    check_envelope(refused, Refusal.TOO_MANY_REQUESTS)
    assert refused.header("retry-after") == ["1"]
    assert len(upstream.received) == 3

    go_on.set()
    assert {parse(raw).status for raw in await asyncio.gather(*running)} == {200}
    assert {parse(await ask(port, one)).status for _ in range(5)} == {200}


def named(key_id: str) -> pb.VerifyResponse:
    answer = valid_reply()
    answer.key.id = key_id
    return answer


async def test_a_request_lasts_until_its_answer_is_taken(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The upstream is done with it, the gateway is not; nor is it if the client leaves."""
    upstream.respond = large
    port = await start_gateway(max_requests_per_key=1)
    secret = authority.issue()
    async with client(port) as sock:
        sock.send(request(secret))
        await until(lambda: len(upstream.received) == 1)
        check_envelope(parse(await ask(port, secret)), Refusal.TOO_MANY_REQUESTS)
        loop, received = asyncio.get_running_loop(), 0
        while received < PIECES * len(PIECE):
            received += len(await loop.sock_recv(sock, len(PIECE)))
        await admitted(port, secret)
        received = len(upstream.received)
        sock.send(request(secret))
        await until(lambda: len(upstream.received) > received)
    await admitted(port, secret)


async def admitted(port: int, secret: str) -> None:
    async with asyncio.timeout(SOON):
        while parse(await ask(port, secret)).status != 200:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.01)


async def test_what_waits_is_bounded(
    start_gateway: StartGateway, authority: RecordingAuthority, upstream: FakeUpstream
) -> None:
    """The answers of a key that have stood unread for longest are given up; others' are not."""
    upstream.respond = endless
    port = await start_gateway(max_unread_bytes=1024 * 1024)
    greedy, modest = authority.issue(), authority.issue(named("key_2"))
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(client(port))
        first.send(request(modest))
        stalled = []
        for _ in range(30):
            stalled.append(await stack.enter_async_context(client(port)))
            stalled[-1].send(request(greedy))
        # Each of them has at least 64 KiB waiting, and all of them half a MiB at most.
        await until(lambda: sum(map(is_reset, stalled)) >= 22)
        assert not is_reset(first)


class Answers:
    """Answers that wait, and those that were given up, by name."""

    def __init__(self, most: int) -> None:
        self.unread = Unread(most)
        self.aborted: list[str] = []
        self._aborts: dict[str, Callable[[], None]] = {}

    def wait(self, owner: str, name: str, size: int) -> None:
        abort = self._aborts[name] = lambda: self.aborted.append(name)
        self.unread.wait(owner, abort, size)

    def end(self, owner: str, name: str) -> None:
        self.unread.end(owner, self._aborts[name])


def test_nobody_has_more_waiting_than_is_left() -> None:
    """Alone half of it; what stood longest goes first; who is within the bound loses nothing."""
    answers = Answers(100)
    answers.wait("one", "first", 30)
    answers.wait("one", "second", 20)
    answers.wait("two", "third", 25)
    assert answers.aborted == []

    answers.wait("one", "fourth", 5)
    assert answers.aborted == ["first"]
    answers.wait("three", "too large", 60)
    assert answers.aborted == ["first", "too large"]
    assert answers.unread.total == 50


def test_what_was_taken_waits_no_more() -> None:
    """Twice makes no difference, nor after it was given up."""
    answers = Answers(100)
    answers.wait("one", "first", 50)
    answers.end("one", "first")
    answers.end("one", "first")
    answers.wait("one", "second", 40)
    answers.wait("one", "third", 40)
    answers.end("one", "second")

    assert answers.aborted == ["second"]
    assert answers.unread.total == 40
    answers.end("one", "third")
    assert (answers.unread.total, answers.unread._owners) == (0, {})


@pytest.mark.parametrize("verdict", [pb.VERDICT_UNKNOWN, pb.VERDICT_REVOKED])
async def test_a_refused_key_holds_nothing(
    start_gateway: StartGateway, authority: RecordingAuthority, verdict: pb.Verdict.ValueType
) -> None:
    """However many of its requests are refused, none counts as running."""
    port = await start_gateway(max_requests_per_key=1)
    bad = authority.issue(reply(verdict))
    assert {parse(await ask(port, bad)).status for _ in range(5)} == {401}
