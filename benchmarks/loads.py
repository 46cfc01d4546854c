"""Load generators: h2load for gRPC, wrk for HTTP, and Python ones where these can't serve."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.processes import BenchmarkError, json_file, temporary_file

CONNECTIONS: Final = 4
STREAMS: Final = 8
"""Calls under way on each of a gRPC load's connections."""

CLIENTS: Final = CONNECTIONS * STREAMS
"""Connections of an HTTP load, one request under way on each."""


@dataclass(frozen=True, slots=True)
class Load:
    """A generator's run: calls with a good answer, seconds, CPU seconds of the generator."""

    calls: int
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Generator:
    """A program, called `name`, that loads a server for a number of seconds."""

    name: str
    run: Callable[[float], Load]


def grpc_load(port: int, method: str, token: str, bodies: Sequence[bytes]) -> Generator:
    """Returns a load that calls *method* with each of *bodies* in turn.

    It does not read how a call ended: the server's own counters must be checked too.
    """
    if len(bodies) > 1:
        return _python(
            "calls",
            {
                "port": port,
                "method": method,
                "token": token,
                "bodies": [base64.b64encode(body).decode() for body in bodies],
                "connections": CONNECTIONS,
                "streams": STREAMS,
            },
        )
    if shutil.which("h2load") is None:
        return _generator(
            {
                "kind": "grpc",
                "address": f"127.0.0.1:{port}",
                "method": method,
                "headers": {"authorization": f"Bearer {token}"},
                "bodies": [base64.b64encode(body).decode() for body in bodies],
            }
        )
    return Generator("h2load", lambda seconds: _h2load(port, method, token, bodies[0], seconds))


def http_load(url: str, headers: Mapping[str, str], body: str | None = None) -> Generator:
    """Returns a load that requests *url*: with POST if there is a *body*, else with GET."""
    if shutil.which("wrk") is None:
        return _generator({"kind": "http", "url": url, "headers": dict(headers), "body": body})
    return Generator("wrk", lambda seconds: _wrk(url, headers, body, seconds))


def stream_load(
    address: str, path: str, headers: Mapping[str, str], body: str, streams: int
) -> Generator:
    """Returns a load that POSTs *body* for so many event streams at a time.

    Those under way at its end run to theirs, which wrk does not wait for.
    """
    plan = {"kind": "streams", "address": address, "path": path, "body": body}
    return _generator({**plan, "headers": dict(headers)}, streams)


def _h2load(port: int, method: str, token: str, body: bytes, seconds: float) -> Load:
    headers = {
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {token}",
    }
    with temporary_file(struct.pack(">BI", 0, len(body)) + body, ".grpc") as data:
        output, cpu = _run(
            "h2load",
            "-t1",
            f"-c{CONNECTIONS}",
            f"-m{STREAMS}",
            f"-D{round(seconds * 1000)}ms",
            f"-d{data}",
            *(f"-H{name}: {value}" for name, value in headers.items()),
            f"http://127.0.0.1:{port}{method}",
        )
    calls, failed = _numbers(
        r"(\d+) succeeded, (\d+) failed, \d+ errored, \d+ timeout", "h2load", output
    )
    if failed:
        raise BenchmarkError(f"h2load: {failed:.0f} calls failed")
    return Load(int(calls), seconds, cpu)


def _wrk(url: str, headers: Mapping[str, str], body: str | None, seconds: float) -> Load:
    script = "" if body is None else f"wrk.method = 'POST'\nwrk.body = {json.dumps(body)}\n"
    with temporary_file(script.encode(), ".lua") as lua:
        output, cpu = _run(
            "wrk",
            "-t1",
            f"-c{CLIENTS}",
            f"-d{max(1, round(seconds))}s",
            f"-s{lua}",
            *(f"-H{name}: {value}" for name, value in headers.items()),
            url,
        )
    if "Non-2xx" in output or "Socket errors" in output:
        raise BenchmarkError(f"wrk: not every answer was good: {output[-400:]}")
    calls, took = _numbers(r"(\d+) requests in ([0-9.]+)s", "wrk", output)
    return Load(int(calls), took, cpu)


def _generator(plan: Mapping[str, object], clients: int = CLIENTS) -> Generator:
    return _python("generator", {**plan, "clients": clients})


def _python(module: str, plan: Mapping[str, object]) -> Generator:
    def run(seconds: float) -> Load:
        with json_file({**plan, "seconds": seconds}) as file:
            output, cpu = _run(sys.executable, "-m", f"benchmarks.{module}", file)
        calls, took = json.loads(output)
        return Load(calls, took, cpu)

    return Generator("Python", run)


def _run(*command: str) -> tuple[str, float]:
    before = os.times()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    after = os.times()
    if run.returncode != 0:
        raise BenchmarkError(f"{command[0]} failed: {run.stderr[-2000:]}")
    cpu = after.children_user + after.children_system
    return run.stdout, cpu - before.children_user - before.children_system


def _numbers(pattern: str, name: str, output: str) -> tuple[float, ...]:
    match = re.search(pattern, output)
    if match is None:
        raise BenchmarkError(f"{name} printed something else: {output[-400:]}")
    return tuple(map(float, match.groups()))
