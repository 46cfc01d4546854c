"""Requests to the upstream: what is sent, when a second time, and which connections stay."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import (
    ClientError,
    ClientPayloadError,
    ServerDisconnectedError,
    SocketTimeoutError,
)
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from gateway import connection
from gateway.allowlist import Allowlist
from gateway.headers import to_upstream, written
from gateway.request import do_nothing
from gateway.upstream import Outgoing, Response, Upstream
from keyauthority.base.http.delivery import reset
from keyauthority.client import VerifiedKey
from tests.certificates import CertificateAuthority
from tests.gateway.peers import (
    Connect,
    Peer,
    answer_next,
    ask,
    hanging_up,
    response,
    serving,
)

NO_FIELDS = CIMultiDictProxy(CIMultiDict[str]())


def always() -> bool:
    return True


async def send(upstream: Upstream, method: str, body: bytes | None = None) -> Response:
    head = upstream.head(method, "/v1/x", [b"A: b"], body)
    assert head is not None
    return await upstream.send(Outgoing(method, head, body, always, do_nothing))


@pytest.mark.parametrize(
    ("method", "attempts"),
    [("GET", 2), ("HEAD", 2), ("PUT", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)],
)
async def test_what_may_be_is_sent_a_second_time(
    connect: Connect, method: str, attempts: int
) -> None:
    """Once, if the connection is lost before the answer. The upstream may have done it already."""
    async with hanging_up() as (port, asked):
        sender = connect(f"http://127.0.0.1:{port}")
        with pytest.raises(ClientError):
            await send(sender, method)
    assert len(asked) == attempts


async def test_a_connection_that_was_closed_meanwhile_is_not_used(connect: Connect) -> None:
    """A request that may not be sent twice gets another one."""

    async def script(peer: Peer) -> None:
        await peer.answer()
        peer.writer.close()
        raise ConnectionResetError

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        assert await ask(sender, "/1") == "/1"
        await upstream.peers[0].closed()
        assert await ask(sender, "/2", method="POST") == "/2"


def raw(text: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(text)

    return script


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", False),
    ],
)
async def test_a_connection_stays_if_its_response_says_so(
    connect: Connect, answer: bytes, stays: bool
) -> None:
    async with serving(raw(answer)) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        assert await ask(sender, "/1") == ""
        assert await ask(sender, "/2") == "/2"
        assert len(upstream.peers) == (1 if stays else 2)
        if not stays:
            await upstream.peers[0].closed()


async def test_a_response_that_ends_with_its_connection_is_whole(connect: Connect) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\n\r\nwhole")
        await peer.writer.drain()
        peer.writer.close()
        raise ConnectionResetError

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        assert await ask(sender, "/1") == "whole"
        assert await ask(sender, "/2") == "/2"


async def test_a_response_that_ends_with_a_reset_has_broken_off(connect: Connect) -> None:
    """Else it would be billed, and passed on, as if it were whole."""
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await taken.wait()
        reset(peer.writer.transport)
        peer.writer.transport.abort()

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender) as answer, asyncio.timeout(10):
            assert await answer.content.readany() == b"half"
            taken.set()
            with pytest.raises(ClientPayloadError):
                await answer.content.readany()


async def test_a_response_breaks_off_when_all_connections_end(connect: Connect) -> None:
    async with serving(raw(b"HTTP/1.1 200 OK\r\n\r\nhalf")) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender) as answer, asyncio.timeout(10):
            assert await answer.content.readany() == b"half"
            await sender.close()
            with pytest.raises(ClientPayloadError):
                await answer.content.readany()


async def test_a_trailer_is_no_larger_than_a_head(connect: Connect) -> None:
    """Its fields are many and large, and each alone might be: the connection ends before all are here."""
    passed = asyncio.Event()

    async def end_at_length(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n")
        for number in range(20):
            peer.writer.write(b"X-%d: " % number + b"y" * 500_000 + b"\r\n")
            await peer.writer.drain()
        peer.writer.write(b"\r\n")
        await peer.writer.drain()
        passed.set()

    async with serving(end_at_length) as raw:
        answer = await send(connect(f"http://127.0.0.1:{raw.port}"), "GET")
        with pytest.raises(ClientPayloadError):
            await answer.content.read()
        await raw.peers[0].closed()
    assert not passed.is_set()


async def test_a_trailer_gets_into_no_other_response(connect: Connect) -> None:
    """Aiohttp's parser would add its last field to the next one."""
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Secret: a\r\n\r\n"
    async with serving(raw(first)) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        for _ in range(2):
            answer = await send(sender, "GET")
            await answer.content.read()
            assert "X-Secret" not in answer.headers
        assert len(upstream.peers) == 1


BIG = b"x" * 16_000_000


async def lost(sender: Upstream) -> None:
    """Wait until all its connections are."""
    alive = sender._pool._connections.alive
    ends = [end for connection in alive if (end := connection.closed) is not None]
    await asyncio.gather(*ends, return_exceptions=True)


async def test_a_connection_with_unsent_bytes_gets_no_other_request(connect: Connect) -> None:
    """Its upstream answers a request without reading it: the next would wait for ever."""
    script = raw(response("/1", status="413 Too Large"))

    async def unread(peer: Peer) -> None:
        await script(peer)
        await asyncio.Event().wait()

    async with serving(unread) as upstream, asyncio.timeout(10):
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        assert (await send(sender, "POST", BIG)).status == 413
        assert await ask(sender, "/2") == "/2"
        assert len(upstream.peers) == 2


async def test_unsent_bytes_keep_no_connection_open(connect: Connect) -> None:
    """Although the upstream does not read, the connection of a request that is given up ends."""
    asked = asyncio.Event()

    async def unread(peer: Peer) -> None:
        await peer.request()
        asked.set()
        await asyncio.Event().wait()

    async with serving(unread) as upstream, asyncio.timeout(10):
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        waiting = asyncio.create_task(send(sender, "POST", BIG))
        await asked.wait()
        waiting.cancel()
        await lost(sender)


async def test_a_late_response_breaks_off_no_earlier_one(connect: Connect) -> None:
    """Which is here whole, but its client has not taken it yet."""

    async def script(peer: Peer) -> None:
        await peer.answer()
        await peer.reader.read()

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}", first_byte_timeout=0.3)
        first = await send(sender, "GET")
        with pytest.raises(SocketTimeoutError):
            await send(sender, "GET")
        assert len(upstream.peers) == 1
        assert await first.content.read() == b"/v1/x"


async def test_what_arrived_before_a_close_is_not_lost(connect: Connect, tmp_path: Path) -> None:
    """TLS closes a connection that is not read, while the parser holds the rest of the response."""
    ca = CertificateAuthority(tmp_path, "ca")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*ca.sign("localhost"))
    trust = ssl.create_default_context(cafile=str(ca.path))

    async def script(peer: Peer) -> None:
        await peer.request()
        chunks = b"800\r\n" + b"x" * 0x800 + b"\r\n"
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.writer.write(start + chunks * 60 + b"0\r\n\r\n")
        peer.writer.close()
        raise ConnectionResetError

    async with serving(script, tls) as upstream, asyncio.timeout(10):
        sender = connect(f"https://localhost:{upstream.port}", trust=trust)
        answer = await send(sender, "GET")
        await lost(sender)
        assert await answer.content.read() == b"x" * 60 * 0x800
        assert answer.content.exception() is None


@pytest.mark.parametrize("framing", [b"Content-Length: 2", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("behind", [b"", b"ok" + response("/1")])
async def test_an_interim_response_has_no_body(
    connect: Connect, framing: bytes, before: bytes, behind: bytes
) -> None:
    """What would be taken for it is the response, which would be waited for."""
    interim = before + b"HTTP/1.1 103 Early Hints\r\n" + framing + b"\r\n\r\n" + behind
    async with serving(raw(interim)) as upstream, asyncio.timeout(10):
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        with pytest.raises(HttpProcessingError):
            await send(sender, "GET")
        await upstream.peers[0].closed()
        assert await ask(sender, "/2") == "/2"
        assert len(upstream.peers) == 2


async def test_a_connection_that_is_closed_before_it_is_used_costs_nothing(
    connect: Connect,
) -> None:
    """Nothing was sent: whatever the request, another connection gets it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        second: list[asyncio.Task[None]] = []

        def holds() -> bool:
            # Asked before anything is sent.
            if not second:
                listener.accept()[0].close()
                second.append(asyncio.create_task(answer_next(listener)))
            return True

        sender = connect(f"http://127.0.0.1:{listener.getsockname()[1]}")
        async with asyncio.timeout(10):
            assert await ask(sender, "/1", method="POST", holds=holds) == "/1"
            await second[0]


async def test_a_verdict_that_lapses_between_two_attempts_hides_no_first(connect: Connect) -> None:
    """The upstream may have carried it out: nobody is told that nothing was sent."""
    async with hanging_up() as (port, asked):
        sender = connect(f"http://127.0.0.1:{port}")
        with pytest.raises(ServerDisconnectedError):
            await ask(sender, "/", holds=lambda: not asked)
    assert len(asked) == 1


async def test_a_dead_connection_is_not_waited_for(connect: Connect) -> None:
    async def script(peer: Peer) -> None:
        await half(peer)
        peer.writer.close()
        raise ConnectionResetError

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender) as answer, asyncio.timeout(10):
            with pytest.raises(ClientPayloadError):
                await answer.content.read()
            answer.wait_for(60.0)
            assert answer._connection._alarm is None


async def test_a_response_that_is_given_up_ends_its_connection(connect: Connect) -> None:
    """Whoever waits for its content is told."""
    script = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        given_up = await send(sender, "GET")
        reading = asyncio.create_task(given_up.content.read())
        await asyncio.sleep(0)
        given_up.close()
        with pytest.raises(ClientError):
            await reading
        await upstream.peers[0].closed()


async def test_a_response_that_becomes_nonsense_has_broken_off(connect: Connect) -> None:
    """Whoever waits for the rest is told at once."""
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await taken.wait()
        peer.writer.write(b"nonsense\r\n")

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender) as answer, asyncio.timeout(10):
            assert await answer.content.readany() == b"half"
            taken.set()
            with pytest.raises(ClientPayloadError):
                await answer.content.readany()
        await upstream.peers[0].closed()


async def test_a_request_that_is_cancelled_ends_its_connection(connect: Connect) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        asked.set()

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        waiting = asyncio.create_task(send(sender, "GET"))
        await asked.wait()
        waiting.cancel()
        await upstream.peers[0].closed()


@asynccontextmanager
async def answering(sender: Upstream) -> AsyncIterator[Response]:
    answer = await send(sender, "GET")
    try:
        yield answer
    finally:
        answer.close()


async def half(peer: Peer) -> None:
    await peer.request()
    peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")


async def test_a_shorter_time_counts_at_once(connect: Connect) -> None:
    """An answer that has begun may fall silent for less long than it took to begin."""
    async with serving(half) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}", first_byte_timeout=600.0)
        async with answering(sender) as answer, asyncio.timeout(10):
            assert await answer.content.readany() == b"half"
            answer.wait_for(0.05)
            with pytest.raises(SocketTimeoutError):
                await answer.content.readany()


async def test_an_upstream_that_is_not_read_is_not_late(connect: Connect) -> None:
    """However long a client takes; its time begins anew when it is read."""
    async with serving(half) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender) as answer, asyncio.timeout(10):
            answer.wait_for(0.05)
            answer.pause()
            await asyncio.sleep(0.15)
            assert await answer.content.readany() == b"half"
            answer.resume()
            with pytest.raises(SocketTimeoutError):
                await answer.content.readany()


async def test_a_pause_that_is_over_holds_nothing_back(connect: Connect) -> None:
    """Aiohttp's parser stops at the piece after the one that made for the pause."""
    taken = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.writer.write(b"1\r\nx\r\n" * 1_025)
        await taken.wait()
        peer.writer.write(b"1\r\ny\r\n1\r\nz\r\n0\r\n\r\n")

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender) as answer, asyncio.timeout(10):
            assert await answer.content.readexactly(1_025) == b"x" * 1_025
            taken.set()
            assert await answer.content.read() == b"yz"


async def test_an_idle_connection_is_closed(connect: Connect) -> None:
    """Before the upstream does it, although it may take far longer to answer."""

    async def script(_: Peer) -> None:
        """Answers whatever comes."""

    async with serving(script) as upstream:
        base = f"http://127.0.0.1:{upstream.port}"
        sender = connect(base, kept_idle=0.05, first_byte_timeout=600.0)
        assert [await ask(sender, path) for path in ("/1", "/2")] == ["/1", "/2"]
        assert len(upstream.peers) == 1
        await upstream.peers[0].closed()
        assert await ask(sender, "/3") == "/3"


async def test_all_connections_end_with_the_sender(connect: Connect) -> None:
    """Those in use as well."""
    script = raw(response("/1"))
    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}")
        async with answering(sender):
            assert await ask(sender, "/2") == "/2"
            await sender.close()
            for peer in upstream.peers:
                await peer.closed()


@pytest.mark.parametrize("size", [0, 1, connection.SMALL, connection.SMALL + 1, 1_000_000])
async def test_a_body_that_is_here_follows_its_head(connect: Connect, size: int) -> None:
    received = asyncio.Queue[bytes]()

    async def script(peer: Peer) -> None:
        head = await peer.reader.readuntil(b"\r\n\r\n")
        received.put_nowait(head + await peer.reader.readexactly(size))
        peer.writer.write(response("/1"))

    async with serving(script) as upstream:
        sender = connect(f"http://127.0.0.1:{upstream.port}/base")
        answer = await send(sender, "POST", b"x" * size)
        assert answer.status == 200
        assert (
            await received.get()
            == (
                f"POST /base/v1/x HTTP/1.1\r\nHost: 127.0.0.1:{upstream.port}\r\n"
                f"A: b\r\nContent-Length: {size}\r\n\r\n{'x' * size}"
            ).encode()
        )


@pytest.mark.parametrize("odd", [b"\r", b"\n", b"\0", b"\r\n", b"\r\n\r\n", b"\x7f", b"\x1f"])
def test_nothing_gets_into_a_head_that_would_end_a_line(odd: bytes) -> None:
    assert written([b"GET / HTTP/1.1", b"a: b" + odd + b"c"]) is None
    assert written([b"GET /" + odd + b" HTTP/1.1", b"a: b"]) is None


def test_nor_does_anything_that_is_told_of_a_key() -> None:
    """Which is the authority's, and has no such characters."""
    for key in (
        VerifiedKey("key_1\nx: y", "ws_1", "one", (), {}),
        VerifiedKey("key_1", "ws_1\nx: y", "one", (), {}),
        VerifiedKey("key_1", "ws_1", "one", ("a\nx: y",), {}),
    ):
        lines = to_upstream(NO_FIELDS, [], Allowlist(), key, "req_1", None)
        assert written(lines) is None


async def test_a_target_goes_on_as_it_came(connect: Connect) -> None:
    """One that is no text goes nowhere."""
    sender = connect("http://upstream/base")
    host = b"Host: upstream\r\n\r\n"
    assert sender.head("GET", "/v1/\tü?", [], None) == (
        "GET /base/v1/\tü? HTTP/1.1\r\n".encode() + host
    )
    assert sender.head("GET", "/v1/\udcff", [], None) is None
    assert sender.head("GET", "/v1/\f", [], None) is None


@pytest.mark.parametrize("steps", range(16))
async def test_a_client_that_leaves_while_a_connection_is_made_holds_up_no_stop(
    connect: Connect, steps: int
) -> None:
    """Whichever step of making it is cancelled."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        upstream = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        sending = asyncio.create_task(send(upstream, "GET"))
        for _ in range(steps):
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending])
        async with asyncio.timeout(5):
            await upstream.close()
