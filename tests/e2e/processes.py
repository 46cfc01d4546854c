"""Real processes of the product: started, told to stop or killed, and their output kept in files."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Seconds that anything may take on a busy machine before a test gives up on it."""


def eventually(what: str, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Waits until *condition* gives something true, and returns it."""
    deadline = time.monotonic() + patience
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not in {patience:g} s: {what}"
        time.sleep(0.02)
    return result


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """`python -m MODULE ARGUMENT...`, with its standard output and error in files under *logs*.

    *name* tells apart the files of several of one module; *prefix* goes before the command, and has
    to become it.
    """

    def __init__(
        self,
        logs: Path,
        module: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        name: str = "",
        prefix: Sequence[str] = (),
    ) -> None:
        logs.mkdir(exist_ok=True)
        name = name or module
        self.stdout, self.stderr = logs / f"{name}.out", logs / f"{name}.err"
        self._seen = self.stderr.stat().st_size if self.stderr.exists() else 0
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self._popen = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, **(env or {})},
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def log(self) -> list[dict[str, Any]]:
        """The lines logged since this start."""
        with self.stderr.open("rb") as file:
            file.seek(self._seen)
            lines = file.read().splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def port(self) -> int:
        """The port that it says it listens on."""

        def said() -> list[int]:
            assert self._popen.poll() is None, self.stderr.read_text()
            return [line["port"] for line in self.log() if "port" in line]

        return int(eventually("a port in the log", said)[0])

    def command_line(self) -> bytes:
        return Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def is_running(self) -> bool:
        return self._popen.poll() is None

    def send(self, number: int) -> None:
        self._popen.send_signal(number)
        if number == signal.SIGKILL:
            self.wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Tells it to stop and returns its exit code."""
        if self.is_running():
            # One that was frozen could not hear it.
            self._popen.send_signal(signal.SIGCONT)
            self._popen.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        return self._popen.wait(PATIENCE)


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, whatever that is."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE, **options
    )
