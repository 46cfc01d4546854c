"""The servers as processes of their own, and the CPU time they take (Linux)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

START: Final = 60.0
"""Seconds in which a server must listen."""

STOP: Final = 10.0
"""Seconds in which a server must end when told to."""

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

    def cpu_seconds(self) -> float:
        """CPU time taken so far, by all threads, in and out of the kernel."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-1000:]


@contextmanager
def running(name: str, port: int, module: str, *arguments: str, logs: Path) -> Iterator[Process]:
    """Runs a Python *module* until the context ends; it listens on *port* before it begins.

    Raises `BenchmarkError`, with the end of the process's log, if it doesn't.
    """
    log = logs / f"{name}-{port}.log"
    command = [sys.executable, "-m", module, *arguments]
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _wait(server, port, log)
        yield Process(name, server.pid, port, log)
    finally:
        _end(server)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise BenchmarkError(f"{' '.join(_named(server))} does not listen: {log.read_text()[-2000:]}")


def _named(server: subprocess.Popen[bytes]) -> Sequence[str]:
    # The module, without arguments: some are credentials.
    assert isinstance(server.args, list)
    return [str(part) for part in server.args[1:3]]


def _end(server: subprocess.Popen[bytes]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        server.wait(STOP)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
