"""The servers as processes of their own, and the CPU time they take (Linux)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.ports import free_port

START: Final = 60.0
"""Seconds in which a server must listen."""

READY: Final = 60.0
"""Seconds in which what listens must be ready to be measured."""

STOP: Final = 10.0
"""Seconds in which a server must end after SIGTERM."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class BenchmarkError(Exception):
    """What was to be measured did not happen, so that there is no number to print."""


@dataclass(frozen=True, slots=True)
class Process:
    """A running server."""

    name: str
    pid: int
    port: int
    log: Path

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Returns the CPU time taken so far, by all threads, in and out of the kernel."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def log_tail(self) -> str:
        """Returns the end of its log."""
        return self.log.read_text(errors="replace")[-1000:]


@contextmanager
def running(
    name: str,
    port: int,
    module: str,
    *arguments: str,
    logs: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """Runs a Python *module*, which listens on *port*, until the context ends.

    Raises `BenchmarkError`, with the end of its log, if it does not listen.
    """
    log = logs / f"{name}-{port}.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    process = Process(name, server.pid, port, log)
    try:
        _wait(server, process)
        yield process
    finally:
        _end(server)


def serving(server: str, *arguments: str, logs: Path) -> AbstractContextManager[Process]:
    """Runs the module *server* of `benchmarks.servers` at a free port, which it gets first."""
    port = free_port()
    return running(server, port, f"benchmarks.servers.{server}", str(port), *arguments, logs=logs)


@contextmanager
def temporary_file(content: bytes, suffix: str = "") -> Iterator[str]:
    """Yields the path of a file with *content*."""
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        yield file.name


def json_file(plan: Mapping[str, object]) -> AbstractContextManager[str]:
    """Yields the path of a file with *plan* as JSON."""
    return temporary_file(json.dumps(plan).encode(), ".json")


def probe(name: str, plan: Mapping[str, object]) -> Any:
    """Returns what the program *name* of `benchmarks.probes` prints; raises `BenchmarkError`."""
    # Not through a pipe, which has room for 64 KiB.
    with json_file(plan) as file, tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", f"benchmarks.probes.{name}", file]
        run = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
        output.seek(0)
        text = output.read()
    if run.returncode != 0:
        raise BenchmarkError(f"{name} failed: {run.stderr[-2000:].decode(errors='replace')}")
    return json.loads(text)


def wait_until(process: Process, ready: Callable[[], str], within: float = READY) -> None:
    """Returns once *ready* says nothing is missing: it returns "", else what *process* lacks.

    Raises `BenchmarkError` that names it, with the end of the log, if it is missing *within* so many
    seconds.
    """
    deadline = time.monotonic() + within
    while missing := ready():
        if time.monotonic() > deadline:
            raise BenchmarkError(
                f"{process.name} at {process.address} is not ready after {within:.0f} s: "
                f"{missing}; {process.log_tail()}"
            )
        time.sleep(0.02)


def _wait(server: subprocess.Popen[bytes], process: Process) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", process.port)) == 0:
                return
        time.sleep(0.02)
    raise BenchmarkError(f"{process.name} does not listen: {process.log_tail()}")


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
