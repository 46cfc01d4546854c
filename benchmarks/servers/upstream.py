"""The upstream that the proxies share, cheap so that it is never what is measured: PORT.

It answers a chat completion, whole or as a stream, and tells the usage as OpenAI does.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from typing import Final, cast

import uvloop

_USAGE: Final = b'"usage":{"prompt_tokens":9,"completion_tokens":160,"total_tokens":169}}'
_BODY: Final = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bench","choices":'
    b'[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"'
    + b"word " * 160
    + b'"}}],'
    + _USAGE
)
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY

_PIECES: Final = 20
_PACE: Final = 0.02
"""Seconds from one piece of a stream to the next."""

_CHUNK: Final = (
    b'{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"bench","choices":'
)
_PIECE: Final = _CHUNK + b'[{"index":0,"delta":{"content":" word"},"finish_reason":null}]'

_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search


def _stream(*, tells_usage: bool) -> list[bytes]:
    piece = _event(_PIECE + (b',"usage":null}' if tells_usage else b"}"))
    last = [_event(_CHUNK + b"[]," + _USAGE)] if tells_usage else []
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    end = b"".join([*last, _event(b"[DONE]"), b"0\r\n\r\n"])
    return [head + piece, *[piece] * (_PIECES - 1), end]


def _event(data: bytes) -> bytes:
    # In a chunk of its own.
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


_STREAM: Final = _stream(tells_usage=False)
_STREAM_WITH_USAGE: Final = _stream(tells_usage=True)


class _Upstream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._end_of_request()) is not None:
            request, self._received = self._received[:end], self._received[end:]
            self._answer(request)

    def _end_of_request(self) -> int | None:
        head, blank, _ = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        declared = _length(head)
        end = len(head) + len(blank) + (int(declared[1]) if declared else 0)
        return end if len(self._received) >= end else None

    def _answer(self, request: bytes) -> None:
        if b'"stream":true' not in request:
            self._transport.write(_ANSWER)
        elif b'"include_usage":true' in request:
            self._write_next(iter(_STREAM_WITH_USAGE))
        else:
            self._write_next(iter(_STREAM))

    def _write_next(self, pieces: Iterator[bytes]) -> None:
        piece = next(pieces, None)
        if piece is not None and not self._transport.is_closing():
            self._transport.write(piece)
            self._loop.call_later(_PACE, self._write_next, pieces)


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Upstream, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
