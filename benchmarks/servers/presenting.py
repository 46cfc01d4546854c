"""Clients that present many secrets to a gateway without a break: PORT, PLAN.json.

PLAN.json: `port` of the gateway, `path`, `secrets`, `clients`, `pause`. Each client has a connection and
one request at a time, with the next secret of all. After anything but a 200 it pauses. Tells whoever
connects how many good answers there were in each hundredth of a second, by the machine's monotonic
clock, and how many secrets had one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, cast

import uvloop

from benchmarks.probes import read_plan

_GOOD = b"HTTP/1.1 200 "


class _Answers:
    def __init__(self, secrets: list[str]) -> None:
        self.turns: Iterator[str] = itertools.cycle(secrets)
        self._good: Counter[int] = Counter()
        self._presented: set[str] = set()

    def note(self, secret: str) -> None:
        self._good[int(time.monotonic() * 100)] += 1
        self._presented.add(secret)

    def state(self) -> dict[str, Any]:
        return {"good": self._good, "presented": len(self._presented)}


class _Client(asyncio.Protocol):
    """One connection; a refusal may take the form of a body of known length, never of chunks."""

    def __init__(self, plan: dict[str, Any], answers: _Answers) -> None:
        self._head = f"GET {plan['path']} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer "
        self._pause = plan["pause"]
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._present()

    def connection_lost(self, exc: Exception | None) -> None:
        raise SystemExit(f"the gateway closed a connection: {exc}")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return
        self._received = b""
        if head.startswith(_GOOD):
            self._answers.note(self._secret)
            self._present()
        else:
            asyncio.get_running_loop().call_later(self._pause, self._present)

    def _present(self) -> None:
        self._secret = next(self._answers.turns)
        self._transport.write(f"{self._head}{self._secret}\r\n\r\n".encode())


def _length(head: bytes) -> int:
    _, _, after = head.lower().partition(b"\r\ncontent-length:")
    return int(after.partition(b"\r\n")[0] or 0)


async def _serve(port: int, plan: dict[str, Any]) -> None:
    loop, answers = asyncio.get_running_loop(), _Answers(plan["secrets"])
    for _ in range(plan["clients"]):
        await loop.create_connection(lambda: _Client(plan, answers), "127.0.0.1", plan["port"])

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(answers.state()).encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(tell, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), read_plan()))
