"""The upstream that both proxies share, cheap so that it is never what is measured: PORT."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Final, cast

import uvloop

_BODY: Final = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"bench","choices":'
    b'[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"'
    + b"word " * 160
    + b'"}}],"usage":{"prompt_tokens":9,"completion_tokens":160,"total_tokens":169}}'
)
_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
) + _BODY

_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search


class _Upstream(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._end_of_request()) is not None:
            self._received = self._received[end:]
            self._transport.write(_ANSWER)

    def _end_of_request(self) -> int | None:
        head, blank, _ = self._received.partition(b"\r\n\r\n")
        if not blank:
            return None
        declared = _length(head)
        end = len(head) + len(blank) + (int(declared[1]) if declared else 0)
        return end if len(self._received) >= end else None


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Upstream, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
