"""The demo's child processes: started, waited for, and stopped together."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo.settings import DemoError

READY_WITHIN: Final = 30.0
STOPPED_WITHIN: Final = 10.0
PAUSES: Final = (0.2, 1.0, 3.0)
"""Seconds before a child is started again whose address another process had."""

_LISTENS: Final = '"port": '


@dataclass(frozen=True, slots=True)
class _Child:
    # Its output goes to the end of a log that earlier children may have written to.
    process: subprocess.Popen[bytes]
    log: Path
    begin: int

    def output(self) -> str:
        return self.log.read_bytes()[self.begin :].decode(errors="replace")

    def complaint(self) -> str:
        """Returns the sentence it ended with; without one, the end of its log."""
        lines = self.output().splitlines() or ["nothing"]
        if not lines[-1].startswith(("{", " ")):
            return lines[-1].removeprefix("keyauthority: ").removeprefix("Error: ")
        return f"{self.log} ends with:\n" + "\n".join(f"  {line}" for line in lines[-10:])


class Processes:
    """Children with a log file each. The last one started is the first one stopped."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, _Child] = {}

    def start(
        self, name: str, command: Sequence[str], address: str, ready: Callable[[], bool]
    ) -> None:
        """Starts *command* and waits until it listens at *address* and is *ready*.

        It is started again if another process, which may be ending, had the address. Raises
        `DemoError` if it does not get ready.
        """
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for pause in PAUSES:
            child = self._children[name] = self._spawn(name, command)
            try:
                self._wait(name, child, ready)
                return
            except DemoError as error:
                if pause == PAUSES[-1] or address not in str(error):
                    raise
            time.sleep(pause)

    def port(self, name: str) -> int:
        """Returns the port that the child says it listens on."""
        lines = self._children[name].output().splitlines()
        return int(next(json.loads(line)["port"] for line in lines if _LISTENS in line))

    def send(self, name: str, number: int) -> None:
        """Sends the signal to the child."""
        self._children[name].process.send_signal(number)

    def check(self) -> None:
        """Raises `DemoError` if a child has ended."""
        for name, child in self._children.items():
            if (code := child.process.poll()) is not None:
                raise DemoError(f"the {name} has ended (exit code {code}): {child.complaint()}")

    def stop(self) -> None:
        """Stops all children, last first, and kills one that does not stop in time."""
        for child in reversed(self._children.values()):
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
                # One that is frozen could not hear it.
                child.process.send_signal(signal.SIGCONT)
            try:
                child.process.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()

    def _spawn(self, name: str, command: Sequence[str]) -> _Child:
        path = self._logs / f"{name.replace(' ', '-')}.log"
        with path.open("ab") as log:
            begin = log.tell()
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches this process only, which stops them in order.
                start_new_session=True,
            )
            return _Child(process, path, begin)

    def _wait(self, name: str, child: _Child, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        # It must say so itself, since another process may answer at its address.
        while not (_LISTENS in child.output() and ready()):
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"the {name} isn't ready: {child.complaint()}")
            time.sleep(0.05)
