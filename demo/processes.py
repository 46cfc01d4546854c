"""The demo's child processes: started, waited for, and stopped together."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from demo.settings import DemoError

READY_WITHIN: Final = 30.0
STOPPED_WITHIN: Final = 10.0


class Processes:
    """Children with a log file each. The last one started is the first one stopped."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str], ready: Callable[[], bool]) -> None:
        """Starts *command* and waits until *ready*; raises `DemoError` if it won't be."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._log(name).open("ab") as log:
            # In a session of its own: Ctrl-C reaches this process, which stops them in order.
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"the {name} isn't ready; {self._last_lines(name)}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises `DemoError` if one of them has ended."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise DemoError(
                    f"the {name} has ended (exit code {child.returncode}); {self._last_lines(name)}"
                )

    def stop(self) -> None:
        """Stops all of them, last first, and kills one that does not stop in time."""
        for child in reversed(self._children.values()):
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOPPED_WITHIN)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _log(self, name: str) -> Path:
        return self._logs / f"{name.replace(' ', '-')}.log"

    def _last_lines(self, name: str) -> str:
        path = self._log(name)
        lines = path.read_text(errors="replace").splitlines()[-10:]
        return f"{path} ends with:\n" + "\n".join(f"  {line}" for line in lines)
