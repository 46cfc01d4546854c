"""What `make run` starts, on free ports and with its files in a folder of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.processes import Process, eventually
from tests.ports import free_port

PORTS = ("AUTHORITY_PORT", "GATEWAY_PORT", "UPSTREAM_PORT", "CONSOLE_PORT")


class Demo:
    """One start of the demo after another, with the same files and ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir, self._logs = folder / "data", folder / "logs"
        self.ports = {name: free_port() for name in PORTS}
        self.process: Process | None = None
        self.welcome = ""

    def start(self) -> str:
        """Starts it and returns what it says."""
        given = {name: str(port) for name, port in self.ports.items()}
        before = self._said()
        self.process = process = Process(
            self._logs, "demo.run", env={"DATA_DIR": str(self.data_dir), **given}
        )

        def welcome() -> str:
            assert process.is_running(), process.stderr.read_text()
            said = self._said().removeprefix(before)
            return said if "Ctrl-C stops" in said else ""

        self.welcome = str(eventually("the demo is up", welcome))
        return self.welcome

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process is not None
        return self.process.stop(number)

    def complaint(self) -> str:
        assert self.process is not None
        return self.process.stderr.read_text()

    def processes(self) -> list[int]:
        """Those of this demo that are left."""
        return processes_of(self.data_dir)

    def _said(self) -> str:
        path = self._logs / "demo.run.out"
        return path.read_text() if path.exists() else ""


def processes_of(folder: Path) -> list[int]:
    """Processes with a file in *folder* on their command line."""
    mark = str(folder).encode()
    return [
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if mark in _command_line(process)
    ]


def _command_line(folder: Path) -> bytes:
    try:
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def demo_in(folder: Path) -> Iterator[Demo]:
    """A demo in *folder*, of which nothing is left in the end, whatever went wrong."""
    demo = Demo(folder)
    try:
        yield demo
    finally:
        if demo.process is not None:
            demo.stop()
        for pid in demo.processes():
            os.kill(pid, signal.SIGKILL)
