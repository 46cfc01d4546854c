"""A cable between a client and a server of this machine, to be cut: nothing gets through, silently."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cable:
    """Carries connections to `target` while it is whole. Made by `cable`, in a thread of its own."""

    def __init__(self) -> None:
        self.port = 0
        self.target = 0
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._whole = asyncio.Event()
        self._whole.set()
        self._carrying: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """From now on nothing that is sent arrives; nobody is told."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """What was sent meanwhile arrives now, as from a network that sends it again."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def remove(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)

    async def serve(self, plugged: threading.Event) -> None:
        """Carries until it is removed."""
        server = await asyncio.start_server(self._plug, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        plugged.set()
        await self._stop.wait()
        server.close()
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _plug(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        try:
            with suppress(OSError):
                await self._carry_on(reader, writer)
        finally:
            writer.transport.abort()
            self._carrying.discard(task)

    async def _carry_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        reader_there, writer_there = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            await asyncio.gather(
                self._carry(reader, writer_there), self._carry(reader_there, writer)
            )
        finally:
            writer_there.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            await self._whole.wait()
            writer.write(data)
        await self._whole.wait()
        writer.close()


@contextmanager
def cable() -> Iterator[Cable]:
    """A whole cable, that leads nowhere yet."""
    made: list[Cable] = []
    plugged = threading.Event()

    async def carry() -> None:
        made.append(Cable())
        await made[0].serve(plugged)

    thread = threading.Thread(target=asyncio.run, args=(carry(),))
    thread.start()
    plugged.wait()
    try:
        yield made[0]
    finally:
        made[0].remove()
        thread.join()
