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
from typing import Any

import grpc.aio
import uvloop
from aiohttp import ClientSession, TCPConnector

Call = Callable[[], Awaitable[object]]


async def _generate(plan: dict[str, Any]) -> tuple[int, float]:
    async with AsyncExitStack() as stack:
        call = await (_grpc if plan["kind"] == "grpc" else _http)(plan, stack)
        await call()
        start = time.perf_counter()
        end = start + plan["seconds"]
        calls = await asyncio.gather(*(_repeat(call, end) for _ in range(plan["clients"])))
        return sum(calls), time.perf_counter() - start


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


if __name__ == "__main__":
    print(json.dumps(uvloop.run(_generate(json.loads(Path(sys.argv[1]).read_text())))))
