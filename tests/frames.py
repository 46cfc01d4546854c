"""HTTP/2 frames made by hand, for peers that do what no gRPC library would."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict
from contextlib import suppress
from typing import Final, Self

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK: Final = 1
END_STREAM: Final = 1
END_HEADERS: Final = 4
INITIAL_WINDOW: Final = 4  # the setting
HEADER: Final = 9
LONGEST: Final = 16_384


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame."""
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload
    )


def literal(name: str, value: str) -> bytes:
    """A header field that is not indexed (RFC 7541, 6.2.2)."""
    return b"\0" + _string(name.encode()) + _string(value.encode())


def call_headers(path: str, *more: tuple[str, str]) -> bytes:
    """The header block that a gRPC call begins with."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "authority"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    )
    return b"".join(literal(name, value) for name, value in fields)


def message(size: int) -> bytes:
    """A gRPC message of *size* bytes that lacks the last one."""
    return b"\0" + struct.pack(">I", size) + bytes(size - 1)


class Peer:
    """A connection that obeys flow control and answers what HTTP/2 wants answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection_window = self._initial_window = 65_535
        self._windows: defaultdict[int, int] = defaultdict(int)
        self._opened = asyncio.Event()
        self.over: set[int] = set()
        """The streams that the server has ended."""
        self.closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.write(PREFACE + frame(SETTINGS))
        self._reading = asyncio.create_task(self._read())
        return self

    async def opened(self) -> None:
        """Returns when the server has said what it allows."""
        await self._opened.wait()

    async def __aexit__(self, *exc_info: object) -> None:
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    def write(self, sent: bytes) -> None:
        """Sends bytes as they are."""
        self._writer.write(sent)

    def call(self, stream: int, path: str, *more: tuple[str, str]) -> None:
        """Begins a call; nothing of its message is sent."""
        self.write(frame(HEADERS, END_HEADERS, stream, call_headers(path, *more)))

    def send(self, stream: int, body: memoryview) -> int:
        """Sends as much of *body* as the server allows now, and says how much that was."""
        if stream in self.over:
            return 0
        room = min(self._connection_window, self._initial_window + self._windows[stream])
        size = max(min(room, len(body), LONGEST), 0)
        if size:
            self.write(frame(DATA, 0, stream, bytes(body[:size])))
            self._connection_window -= size
            self._windows[stream] -= size
        return size

    async def _read(self) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await self._reader.readexactly(HEADER)
                payload = await self._reader.readexactly(int.from_bytes(header[:3], "big"))
                stream = int.from_bytes(header[5:], "big")
                self._take(header[3], header[4], stream, payload)
        self.closed.set()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for name, value in struct.iter_unpack(">HI", payload):
                if name == INITIAL_WINDOW:
                    self._initial_window = value
            self.write(frame(SETTINGS, ACK))
            self._opened.set()
        elif kind == PING and not flags & ACK:
            self.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE and stream:
            self._windows[stream] += int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self._connection_window += int.from_bytes(payload, "big")
        elif kind == RESET or (kind == HEADERS and flags & END_STREAM):
            self.over.add(stream)


def _string(text: bytes) -> bytes:
    # Not Huffman-coded; its length is an integer with a prefix of seven bits (RFC 7541, 5.1).
    length = len(text)
    if length < 0x7F:
        return bytes((length,)) + text
    coded, length = bytearray((0x7F,)), length - 0x7F
    while length >= 0x80:
        coded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((*coded, length)) + text
