"""Upstreams of raw bytes, and what sends to them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.request import do_nothing
from gateway.upstream import Outgoing, Upstream

Connect = Callable[..., Upstream]


def response(text: str, *fields: str, status: str = "200 OK") -> bytes:
    """A whole response whose body is *text*."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(text)}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text.encode()


@dataclass
class Peer:
    """One connection, as the upstream sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def request(self) -> str:
        """The path of the next request; what follows its head is left unread."""
        lines = await self.reader.readuntil(b"\r\n\r\n")
        return lines.split()[1].decode()

    async def answer(self) -> None:
        """Answer the next request with its own path."""
        self.writer.write(response(await self.request()))

    async def closed(self) -> None:
        """Wait until the gateway has closed the connection."""
        async with asyncio.timeout(10):
            await self.ended.wait()


@dataclass
class RawUpstream:
    """Does on each connection what `script` says, and then answers each request with its path."""

    script: Callable[[Peer], Awaitable[None]]
    peers: list[Peer] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            if len(self.peers) == 1:
                await self.script(peer)
            while True:
                await peer.answer()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            peer.ended.set()
            writer.close()


@asynccontextmanager
async def serving(
    script: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawUpstream]:
    upstream = RawUpstream(script)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for peer in upstream.peers:
            peer.writer.close()


@asynccontextmanager
async def hanging_up() -> AsyncIterator[tuple[int, list[bytes]]]:
    """The port of an upstream that ends each connection after a request's head, and these heads."""
    asked: list[bytes] = []

    handling: set[asyncio.Task[None] | None] = set()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(asyncio.current_task())
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError:
            pass  # a connection without a request
        finally:
            writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked
    # One that was opened and not used may still wait for its request.
    for task in filter(None, handling):
        task.cancel()
    await asyncio.gather(*filter(None, handling), return_exceptions=True)


async def answer_next(listener: socket.socket) -> None:
    """Answer a request on the next connection with its path."""
    loop = asyncio.get_running_loop()
    peer, _ = await loop.sock_accept(listener)
    with peer:
        path = (await loop.sock_recv(peer, 1024)).split()[1].decode()
        await loop.sock_sendall(peer, response(path))


async def ask(
    upstream: Upstream, path: str, *, method: str = "GET", holds: Callable[[], bool] = lambda: True
) -> str:
    """Send a request as the gateway does; return the body of its answer."""
    sent = upstream.head(method, path, [], None)
    assert sent is not None
    answer = await upstream.send(Outgoing(method, sent, None, holds, do_nothing))
    try:
        return (await answer.content.read()).decode()
    finally:
        answer.close()
