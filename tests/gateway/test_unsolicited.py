"""Bytes that the upstream sends without being asked: nobody takes them for an answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError
from aiohttp.web import StreamResponse

from gateway.allowlist import Allowlist
from gateway.billing.reading_on import ReadingOn
from gateway.config import Limits, Timeouts
from gateway.connection import UnsolicitedError
from gateway.forward import Forwarder
from gateway.observe import Metrics, Timings
from gateway.request import EdgeRequest, Grant, open_body
from gateway.upstream import Upstream
from keyauthority.base.http.server import Server
from keyauthority.client import SECRET_MARK, VerifiedKey
from keyauthority.edge.envelope import Refusal
from tests.certificates import CertificateAuthority
from tests.gateway.conftest import StartGateway
from tests.gateway.parts import RecordingAuthority, exchange, head, parse
from tests.gateway.peers import Connect, Peer, answer_next, ask, response, serving

KEY = VerifiedKey("key_1", "ws_1", "one", (), {})


OTHERS = response("for somebody else")


async def silence(_: Peer) -> None:
    """Nothing that nobody asked for."""


async def between(peer: Peer) -> None:
    await peer.answer()
    await asyncio.sleep(0)
    peer.writer.write(OTHERS)


async def behind(peer: Peer) -> None:
    peer.writer.write(response(await peer.request()) + OTHERS)


async def twice_behind(peer: Peer) -> None:
    peer.writer.write(response(await peer.request()) + OTHERS + OTHERS)


async def begun_behind(peer: Peer) -> None:
    peer.writer.write(response(await peer.request()) + b"HTTP/1.1 2")


async def one_letter_behind(peer: Peer) -> None:
    peer.writer.write(response(await peer.request()) + b"H")


async def interim_behind(peer: Peer) -> None:
    peer.writer.write(response(await peer.request()) + b"HTTP/1.1 103 Early Hints\r\n\r\n")


async def behind_chunks(peer: Peer) -> None:
    path = await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await asyncio.sleep(0.02)
    peer.writer.write(f"{len(path):x}\r\n{path}\r\n0\r\n\r\n".encode() + OTHERS)


async def begun_behind_chunks(peer: Peer) -> None:
    path = await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    peer.writer.write(f"{len(path):x}\r\n{path}\r\n0\r\n\r\n".encode() + b"HTTP/1.1 200 OK\r\nA")


async def odd_status_then_more(peer: Peer) -> None:
    """A final answer whose status is below those of interim ones, and then somebody else's."""
    path = await peer.request()
    peer.writer.write(response(path, status="099 Odd"))
    await peer.writer.drain()
    await asyncio.sleep(0.05)
    peer.writer.write(OTHERS)


@pytest.mark.parametrize(
    "script",
    [
        between,
        odd_status_then_more,
        behind,
        twice_behind,
        begun_behind,
        one_letter_behind,
        interim_behind,
        behind_chunks,
        begun_behind_chunks,
    ],
)
async def test_a_connection_with_a_byte_too_many_is_closed(
    connect: Connect, metrics: Metrics, script: Callable[[Peer], Awaitable[None]]
) -> None:
    """What came before is a good answer; the next request is asked on another connection."""
    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")

        assert await ask(sender, "/first") == "/first"
        await upstream.peers[0].closed()

        assert [await ask(sender, path) for path in ("/2", "/3")] == ["/2", "/3"]
        assert len(upstream.peers) == 2
        assert metrics.unsolicited == 1


async def test_bytes_that_arrive_just_before_the_next_request_are_no_answer(
    connect: Connect, metrics: Metrics
) -> None:
    """They wait in the kernel, and no event loop has read them, when the connection is taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        sender = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
        first = asyncio.create_task(ask(sender, "/first"))
        loop = asyncio.get_running_loop()
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await loop.sock_recv(peer, 1024)
            await loop.sock_sendall(peer, response("/first"))
            assert await first == "/first"

            answering = asyncio.create_task(answer_next(listener))
            await asyncio.sleep(0)
            # In one step, without a turn of the loop, until the connection is taken.
            peer.send(OTHERS)
            assert await ask(sender, "/second") == "/second"
            await answering
    assert metrics.unsolicited == 1


async def test_a_request_is_not_sent_into_a_connection_that_spoke_meanwhile(
    metrics: Metrics, connect: Connect
) -> None:
    """Between connecting and writing: it is sent anew, on another."""
    body, loop, spoke = b"x" * 100_000, asyncio.get_running_loop(), asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as peers:
        listener.setblocking(False)

        def holds() -> bool:
            # Asked last before anything is sent.
            if not spoke.is_set():
                peers.enter_context(listener.accept()[0]).send(OTHERS)
                spoke.set()
            return True

        upstream = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with forwarding(connect(upstream), holds) as port, asyncio.timeout(10):
            fields = f"Content-Length: {len(body)}"
            asked = asyncio.create_task(exchange(port, head(fields, method="POST") + body))
            await spoke.wait()
            fresh = peers.enter_context((await loop.sock_accept(listener))[0])
            received = b""
            while not received.endswith(b"\r\n\r\n" + body):
                received += await loop.sock_recv(fresh, 65536)
            await loop.sock_sendall(fresh, response("mine"))
            answered = parse(await asked)
    assert (answered.status, answered.body) == (200, b"mine")
    assert metrics.unsolicited == 1


@asynccontextmanager
async def forwarding(upstream: Upstream, holds: Callable[[], bool]) -> AsyncIterator[int]:
    """A server that forwards all it gets to *upstream*, as long as *holds* says so; its port."""
    first_byte = Timings("seconds", "To the first byte.", (1.0,))
    forwarder = Forwarder(upstream, None, Allowlist(), Timeouts(), first_byte, ReadingOn(1, 1.0))

    async def handle(request: EdgeRequest) -> StreamResponse:
        body = open_body(request, Limits())
        assert not isinstance(body, Refusal)
        answer = await forwarder.forward(request, Grant(KEY, holds), body)
        assert not isinstance(answer, Refusal)
        return answer

    def refuse(_: EdgeRequest, status: int) -> StreamResponse:
        raise AssertionError(status)

    server = Server(handle, refuse, bytes, EdgeRequest, Limits(), SECRET_MARK)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        await server.drain(0.1)


async def test_an_upstream_that_speaks_first_is_not_listened_to(
    connect: Connect, metrics: Metrics
) -> None:
    """Nor if it does so on a second connection: the request fails, unsent."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as peers:
        listener.setblocking(False)
        fresh: list[socket.socket] = []

        def holds() -> bool:
            # Asked first on a fresh connection, and again once it was read.
            with suppress(BlockingIOError):
                fresh.append(peers.enter_context(listener.accept()[0]))
                fresh[-1].setblocking(False)
                fresh[-1].send(OTHERS)
            return True

        sender = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UnsolicitedError):
            await ask(sender, "/", method="POST", holds=holds)
        assert metrics.unsolicited == len(fresh) == 2
        for peer in fresh:
            assert await asyncio.get_running_loop().sock_recv(peer, 1024) == b""


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_a_body_where_none_may_be_is_nobodys_answer(connect: Connect, method: str) -> None:
    """After HEAD, and with 204: the bytes behind the head are too many."""

    async def script(peer: Peer) -> None:
        await peer.request()
        status = "204 No Content" if method == "GET" else "200 OK"
        peer.writer.write(response("x", status=status)[:-1])
        await asyncio.sleep(0.02)
        peer.writer.write(OTHERS)

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        assert await ask(sender, "/first", method=method) == ""
        await upstream.peers[0].closed()
        assert await ask(sender, "/second") == "/second"


async def test_interim_responses_are_asked_for(connect: Connect, metrics: Metrics) -> None:
    """Any number of them before the response proper; the connection is used again."""

    async def script(peer: Peer) -> None:
        path = await peer.request()
        peer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n")
        await asyncio.sleep(0.02)
        peer.writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(path))

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        assert [await ask(sender, path) for path in ("/1", "/2")] == ["/1", "/2"]
        assert len(upstream.peers) == 1
    assert metrics.unsolicited == 0


async def test_tls_has_messages_of_its_own(
    connect: Connect, metrics: Metrics, tmp_path: Path
) -> None:
    """Session tickets are no bytes too many; a response within TLS that nobody asked for is."""
    ca = CertificateAuthority(tmp_path, "ca")
    certificate, key = ca.sign("localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    trust = ssl.create_default_context(cafile=str(ca.path))

    async def script(peer: Peer) -> None:
        for _ in range(3):
            await peer.answer()
        peer.writer.write(OTHERS)

    async with serving(script, tls) as upstream:
        sender = connect(f"https://localhost:{upstream.port}", trust=trust)
        paths = ["/1", "/2", "/3"]
        assert [await ask(sender, path) for path in paths] == paths
        await upstream.peers[0].closed()
        assert len(upstream.peers) == 1

        assert await ask(sender, "/4") == "/4"
    assert metrics.unsolicited == 1


async def test_an_upstream_that_hangs_up_at_once_is_an_error(connect: Connect) -> None:
    """Not a loop of attempts."""

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        sender = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(ClientConnectionError):
            await asyncio.wait_for(ask(sender, "/", method="POST"), 10)


async def test_no_client_gets_the_answer_to_anothers_request(
    start_gateway: StartGateway, authority: RecordingAuthority
) -> None:
    """Through the gateway: one client's upstream connection speaks out of turn, the next asks."""
    answered_one = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer()
        await answered_one.wait()
        peer.writer.write(OTHERS)

    async with serving(script) as upstream:
        port = await start_gateway(upstream=f"http://127.0.0.1:{upstream.port}")
        for path in ("/v1/1", "/v1/2", "/v1/3"):
            fields = f"Authorization: Bearer {authority.issue()}"
            answered = parse(await exchange(port, head(fields, target=path)))
            assert (answered.status, answered.body.decode()) == (200, path)
            answered_one.set()
            await asyncio.sleep(0.02)  # for the loop to read what it then says
