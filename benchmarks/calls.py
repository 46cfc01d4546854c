"""A load of gRPC calls that costs little: `python -m benchmarks.calls PLAN.json`.

PLAN.json: `port`, `method`, `token`, `bodies`, `connections`, `streams`, `seconds`. Each connection
sends the bodies in turn, from a place of its own on, `streams` calls at a time. Prints the number of
answers and of seconds. How a call ended is not read: the server's own counters must be checked.

h2load knows one body only, and a client of grpc.aio takes longer for a call than the authority. This
writes the frames of HTTP/2 as they are. The header fields are the same in each call, so that the
first call of a connection puts them into the table of HPACK and the others name their numbers. Bodies
must be small: how much the server lets us send is not followed.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import struct
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import uvloop

_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_FRAME: Final = struct.Struct(">HBBBI")
"""Length in 16 bits and in 8 more, kind, flags, number of the stream."""
_HEAD: Final = _FRAME.size

_LARGE: Final = 2**31 - 1
_FIRST_WINDOW: Final = 65_535
_WINDOWS: Final = struct.pack(">HI", 4, _LARGE)
"""The setting of how much may be sent to us on each stream."""

# Of HPACK's static table; entries of our own are numbered from 62 on, the newest first.
_POST, _HTTP = b"\x83", b"\x86"
_OWN: Final = 62


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return _FRAME.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def _literal(text: str) -> bytes:
    # Its length has seven bits, and further bytes if these don't suffice.
    raw = text.encode()
    short, more = min(len(raw), 0x7F), len(raw) - 0x7F
    length = bytes([short]) if more < 0 else bytes([0x7F, more])
    return length + raw


def _fields(plan: dict[str, Any]) -> tuple[bytes, bytes]:
    """Returns the header fields of a connection's first call, and of the others."""
    fields = {
        ":path": plan["method"],
        ":authority": f"127.0.0.1:{plan['port']}",
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {plan['token']}",
    }
    added = b"".join(b"\x40" + _literal(name) + _literal(text) for name, text in fields.items())
    numbers = range(_OWN + len(fields) - 1, _OWN - 1, -1)
    return _POST + _HTTP + added, _POST + _HTTP + bytes(0x80 | number for number in numbers)


class _Connection(asyncio.Protocol):
    """Keeps so many calls under way until `stop`."""

    def __init__(self, plan: dict[str, Any], bodies: Iterator[bytes]) -> None:
        self.answers = 0
        self.failure = ""
        self._fields, self._others = _fields(plan)
        self._bodies = bodies
        self._streams = plan["streams"]
        self._stream = 1
        self._received = b""
        self._stopped = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        settings = _frame(_SETTINGS, 0, 0, _WINDOWS)
        window = _frame(_WINDOW, 0, 0, struct.pack(">I", _LARGE - _FIRST_WINDOW))
        self._transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + window)
        self._transport.write(b"".join(self._next_call() for _ in range(self._streams)))

    def data_received(self, data: bytes) -> None:
        received, place, replies = self._received + data, 0, []
        while len(received) - place >= _HEAD:
            high, low, kind, flags, _ = _FRAME.unpack_from(received, place)
            end = place + _HEAD + (high << 8 | low)
            if end > len(received):
                break
            if kind == _HEADERS:
                if flags & _END_STREAM:
                    self.answers += 1
                    replies.append(self._next_call())
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                payload = received[place + _HEAD : end] if kind == _PING else b""
                replies.append(_frame(kind, _ACK, 0, payload))
            elif kind in (_RESET, _GOAWAY):
                self.failure = f"frame {kind}: {received[place:end]!r}"
            place = end
        self._received = received[place:]
        if replies:
            self._transport.write(b"".join(replies))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._stopped:
            self.failure = self.failure or f"the connection was closed: {exc}"

    def stop(self) -> None:
        """Ends what is under way."""
        self._stopped = True
        self._transport.close()

    def _next_call(self) -> bytes:
        body = next(self._bodies)
        message = struct.pack(">BI", 0, len(body)) + body
        stream, self._stream = self._stream, self._stream + 2
        fields, self._fields = self._fields, self._others
        return _frame(_HEADERS, _END_HEADERS, stream, fields) + _frame(
            _DATA, _END_STREAM, stream, message
        )


async def _load(plan: dict[str, Any]) -> tuple[int, float]:
    loop, count = asyncio.get_running_loop(), plan["connections"]
    bodies = [base64.b64decode(body) for body in plan["bodies"]]
    connections = []
    start = time.perf_counter()
    for number in range(count):
        first = number * len(bodies) // count
        turns = itertools.cycle([*bodies[first:], *bodies[:first]])
        make = partial(_Connection, plan, turns)
        _, connection = await loop.create_connection(make, "127.0.0.1", plan["port"])
        connections.append(connection)
    await asyncio.sleep(plan["seconds"])
    seconds = time.perf_counter() - start
    for connection in connections:
        if connection.failure:
            raise SystemExit(f"calls failed: {connection.failure}")
        connection.stop()
    return sum(connection.answers for connection in connections), seconds


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_load(json.loads(Path(sys.argv[1]).read_text())))))
