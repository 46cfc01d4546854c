"""What stands between a client and its PostgreSQL server, and can do what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from keyauthority.base.relational.location import PostgresUrl


class Proxy:
    """Passes everything on, until it is told otherwise.

    `on_commit`: what becomes of the next commit. "lost": it never arrives; "unanswered": its answer
    doesn't; "late": its connection breaks at once, but it arrives half a second later. `refusing`:
    new connections are closed.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_commit = ""
        self._passable = asyncio.Event()
        self._passable.set()
        self.refusing = False
        self.connections = 0

    def freeze(self) -> None:
        """Nothing passes from now on."""
        self._passable.clear()

    def thaw(self) -> None:
        """Everything passes again, what came meanwhile first."""
        self._passable.set()

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if self.refusing:
            to_client.close()
            return
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_connection(*self._target)
        answers = asyncio.create_task(self._pass(server, to_client))
        try:
            await self._questions(client, to_server, to_client, answers)
        finally:
            answers.cancel()
            to_client.transport.abort()
            to_server.transport.abort()
            self._tasks.discard(task)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _questions(
        self,
        client: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        to_client: asyncio.StreamWriter,
        answers: asyncio.Task[None],
    ) -> None:
        with suppress(OSError):
            while data := await client.read(1 << 16):
                await self._passable.wait()
                if b"COMMIT\0" in data and self.on_commit:
                    how, self.on_commit = self.on_commit, ""
                    if how == "lost":
                        return
                    answers.cancel()
                    if how == "late":
                        to_client.transport.abort()
                        await asyncio.sleep(0.5)
                    to_server.write(data)
                    await asyncio.sleep(0.3)
                    return
                to_server.write(data)

    async def _pass(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await server.read(1 << 16):
                await self._passable.wait()
                to_client.write(data)
        to_client.close()


@asynccontextmanager
async def proxied(url: PostgresUrl) -> AsyncIterator[tuple[Proxy, PostgresUrl]]:
    """A proxy before the server of *url*, and the URL that leads through it."""
    parts = urlsplit(url.reveal())
    assert parts.hostname is not None
    proxy = Proxy((parts.hostname, parts.port or 5432))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    user = parts.netloc.rpartition("@")[0]
    through = parts._replace(netloc=f"{user}@127.0.0.1:{port}").geturl()
    try:
        yield proxy, PostgresUrl(through)
    finally:
        server.close()
        await proxy.close()
