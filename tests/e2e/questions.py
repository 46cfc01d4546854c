"""Asking a gateway as plainly as can be: HTTP/1.1 over one connection, a question at a time."""

from __future__ import annotations

import asyncio
import re
from typing import Self

_status = re.compile(rb"HTTP/1\.1 (\d{3})").match
_length = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE).search

LOST = (OSError, asyncio.IncompleteReadError, TimeoutError)
"""What a question may raise that is never answered."""


class Questions:
    """A connection to the gateway at *port* of this host's loopback."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_over = False
        """The gateway said that it ends the connection."""

    @classmethod
    async def to(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, secret: str, path: str = "/authz", *fields: str) -> None:
        """Asks, without waiting for the answer."""
        lines = [f"GET {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {secret}"]
        self._writer.write("\r\n".join([*lines, *fields, "", ""]).encode())

    async def status(self) -> int:
        """The answer's status; raises one of `LOST`."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        found, length = _status(head), _length(head)
        assert found is not None
        await self._reader.readexactly(int(length[1]) if length else 0)
        self.is_over = b"connection: close" in head.lower()
        return int(found[1])

    async def ask(self, secret: str) -> int:
        self.send(secret)
        return await self.status()

    def abort(self) -> None:
        self._writer.transport.abort()


async def ask(port: int, secret: str) -> int:
    """The status that the gateway answers *secret* with, on a connection of its own."""
    questions = await Questions.to(port)
    try:
        return await questions.ask(secret)
    finally:
        questions.abort()
