"""Load generators: h2load for gRPC, wrk for HTTP, and a Python one where these can't do it."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from benchmarks.processes import BenchmarkError

CONNECTIONS: Final = 4
STREAMS: Final = 8
"""Calls under way on each of a gRPC load's connections."""

CLIENTS: Final = CONNECTIONS * STREAMS
"""Connections of an HTTP load, one request under way on each."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a generator did: good answers it got, seconds it took, CPU seconds it used."""

    answers: int
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Generator:
    """Something that loads a server for a number of seconds; `name` says what it is."""

    name: str
    run: Callable[[float], Load]


def grpc_load(port: int, method: str, token: str, bodies: Sequence[bytes]) -> Generator:
    """Calls *method* with each of *bodies* in turn.

    h2load knows one body and not the trailers that say how a call ended: callers must check that
    by the server's own counters.
    """
    if len(bodies) > 1 or shutil.which("h2load") is None:
        return _python(
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
    """Requests *url*: with POST if there is a *body*, else with GET."""
    if shutil.which("wrk") is None:
        return _python({"kind": "http", "url": url, "headers": dict(headers), "body": body})
    return Generator("wrk", lambda seconds: _wrk(url, headers, body, seconds))


def _h2load(port: int, method: str, token: str, body: bytes, seconds: float) -> Load:
    headers = {
        "content-type": "application/grpc",
        "te": "trailers",
        "authorization": f"Bearer {token}",
    }
    with _file(struct.pack(">BI", 0, len(body)) + body, ".grpc") as data:
        output, cpu = _child(
            [
                "h2load",
                "-t1",
                f"-c{CONNECTIONS}",
                f"-m{STREAMS}",
                f"-D{round(seconds * 1000)}ms",
                f"-d{data}",
            ]
            + [f"-H{name}: {value}" for name, value in headers.items()]
            + [f"http://127.0.0.1:{port}{method}"]
        )
    done, failed = _numbers(
        r"(\d+) succeeded, (\d+) failed, \d+ errored, \d+ timeout", "h2load", output
    )
    if failed:
        raise BenchmarkError(f"h2load: {failed} calls failed")
    return Load(done, seconds, cpu)


def _wrk(url: str, headers: Mapping[str, str], body: str | None, seconds: float) -> Load:
    script = "" if body is None else f"wrk.method = 'POST'\nwrk.body = {json.dumps(body)}\n"
    with _file(script.encode(), ".lua") as lua:
        output, cpu = _child(
            ["wrk", "-t1", f"-c{CLIENTS}", f"-d{max(1, round(seconds))}s", f"-s{lua}"]
            + [f"-H{name}: {value}" for name, value in headers.items()]
            + [url]
        )
    if "Non-2xx" in output or "Socket errors" in output:
        raise BenchmarkError(f"wrk: not every answer was good: {output[-400:]}")
    (done,) = _numbers(r"(\d+) requests in", "wrk", output)
    took = re.search(r"requests in ([0-9.]+)s", output)
    return Load(done, float(took[1]) if took else seconds, cpu)


def _python(plan: Mapping[str, object]) -> Generator:
    def run(seconds: float) -> Load:
        with _file(
            json.dumps({**plan, "clients": CLIENTS, "seconds": seconds}).encode(), ""
        ) as file:
            output, cpu = _child([sys.executable, "-m", "benchmarks.generator", file])
        done, took = json.loads(output)
        return Load(done, took, cpu)

    return Generator("Python", run)


def _child(command: Sequence[str]) -> tuple[str, float]:
    before = os.times()
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    after = os.times()
    if run.returncode != 0:
        raise BenchmarkError(f"{command[0]} failed: {run.stderr[-2000:]}")
    used = after.children_user + after.children_system
    return run.stdout, used - before.children_user - before.children_system


@contextmanager
def _file(content: bytes, suffix: str) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        yield file.name


def _numbers(pattern: str, name: str, output: str) -> tuple[int, ...]:
    found = re.search(pattern, output)
    if found is None:
        raise BenchmarkError(f"{name} printed what is not understood: {output[-400:]}")
    return tuple(map(int, found.groups()))
