"""A load generator as a process of its own: `python -m benchmarks.generator PLAN.json`.

Prints the number of answers and of seconds. Any answer but a good one ends it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import grpc.aio
import uvloop
from aiohttp import ClientSession, TCPConnector

Call = Callable[[], Awaitable[object]]


async def _generate(plan: dict[str, Any]) -> tuple[int, float]:
    async with AsyncExitStack() as stack:
        calling = _KINDS[plan["kind"]]
        calls = [await calling(plan, stack)] * plan["clients"]
        if plan["kind"] == "streams":
            # Each on a connection of its own.
            calls[1:] = [await calling(plan, stack) for _ in calls[1:]]
        await calls[0]()
        start = time.perf_counter()
        end = start + plan["seconds"]
        counts = await asyncio.gather(*(_repeat(call, end) for call in calls))
        return sum(counts), time.perf_counter() - start


async def _repeat(call: Call, end: float) -> int:
    calls = 0
    while time.perf_counter() < end:
        await call()
        calls += 1
    return calls


async def _grpc(plan: dict[str, Any], stack: AsyncExitStack) -> Call:
    options = [("grpc.enable_http_proxy", 0)]
    channel = grpc.aio.insecure_channel(plan["address"], options=options)
    method: Any = (await stack.enter_async_context(channel)).unary_unary(plan["method"])
    metadata = tuple(plan["headers"].items())
    bodies = itertools.cycle([base64.b64decode(body) for body in plan["bodies"]])
    return lambda: method(next(bodies), metadata=metadata)


async def _http(plan: dict[str, Any], stack: AsyncExitStack) -> Call:
    session = await stack.enter_async_context(ClientSession(connector=TCPConnector(limit=0)))
    method = "GET" if plan["body"] is None else "POST"

    async def call() -> None:
        async with session.request(
            method, plan["url"], headers=plan["headers"], data=plan["body"], raise_for_status=True
        ) as answer:
            await answer.read()

    return call


async def _streams(plan: dict[str, Any], stack: AsyncExitStack) -> Call:
    host, _, port = plan["address"].rpartition(":")
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(_Streaming, host, int(port))
    stack.callback(transport.close)
    body = plan["body"].encode()
    fields = {"host": plan["address"], "content-length": len(body), **plan["headers"]}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    message = f"POST {plan['path']} HTTP/1.1\r\n{head}\r\n".encode() + body
    return lambda: protocol.ask(message)


class _Streaming(asyncio.Protocol):
    """Asks for one event stream at a time, and only looks at how it begins and ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def ask(self, message: bytes) -> None:
        """Returns at the end of the stream; raises `ConnectionError` if there is none."""
        self._last, self._tail = b"", b""
        self._ended = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        await self._ended

    def data_received(self, data: bytes) -> None:
        if not self._last:
            if not data.startswith(b"HTTP/1.1 200 "):
                self._end(ConnectionError(f"no stream: {data[:400]!r}"))
            head = data.partition(b"\r\n\r\n")[0].lower()
            # What has come whole by the time it goes on has a length instead.
            self._last = _LAST_CHUNK if b"transfer-encoding: chunked" in head else _DONE
        self._tail = (self._tail + data)[-_LONGEST_END:]
        if self._tail.endswith(self._last):
            self._end(None if _DONE in self._tail else ConnectionError("a stream was cut"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the connection was closed"))

    def _end(self, error: Exception | None) -> None:
        if hasattr(self, "_ended") and not self._ended.done():
            self._ended.set_exception(error) if error else self._ended.set_result(None)


_DONE = b"data: [DONE]\n\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_LONGEST_END = 40
_KINDS = {"grpc": _grpc, "http": _http, "streams": _streams}

if __name__ == "__main__":
    print(json.dumps(uvloop.run(_generate(json.loads(Path(sys.argv[1]).read_text())))))
