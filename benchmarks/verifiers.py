"""Verifiers that are connected while something is measured: a process with some of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import paths
from benchmarks.processes import BenchmarkError, Process, running
from tests.ports import free_port

BACK: Final = 30.0
"""Seconds in which a verifier must hold a lease again."""


@dataclass(frozen=True, slots=True)
class State:
    """How many verifiers hold a lease; how many verdicts `VALID` they would give from memory."""

    leases: int
    valid: int


@dataclass(frozen=True, slots=True)
class Verifiers:
    """A process with *count* verifiers, each of which had *verdicts* in its cache at the start."""

    process: Process
    count: int
    verdicts: int

    def state(self) -> State:
        """How they are now."""
        with socket.create_connection(("127.0.0.1", self.process.port), timeout=10) as connection:
            told = b"".join(iter(lambda: connection.recv(1 << 12), b""))
        return State(**json.loads(told))

    def must_be_ready(self) -> None:
        """Raises `BenchmarkError` unless all hold a lease and know all verdicts."""
        state = self.state()
        if state != State(self.count, self.count * self.verdicts):
            raise BenchmarkError(f"not every verifier is ready: {state}")

    def must_refuse(self) -> None:
        """Raises `BenchmarkError` if any would still accept one of the secrets."""
        if (valid := self.state().valid) > 0:
            raise BenchmarkError(f"{valid} revoked keys are still accepted")

    def wait_for_leases(self) -> None:
        """Returns when all hold a lease; raises `BenchmarkError`."""
        deadline = time.monotonic() + BACK
        while self.state().leases < self.count:
            if time.monotonic() > deadline:
                raise BenchmarkError("a verifier does not get its lease again")
            time.sleep(0.05)


@contextmanager
def verifiers(
    addresses: Sequence[str], data_dir: Path, secrets: Sequence[str], logs: Path
) -> Iterator[Verifiers]:
    """A verifier for each of *addresses*, that of an authority over *data_dir*; all know *secrets*."""
    port, token_file = free_port(), str(paths.root_token(data_dir))
    plan = {"addresses": [*addresses], "token_file": token_file, "secrets": [*secrets]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan, file)
        file.flush()
        with running(
            "verifiers", port, "benchmarks.servers.verifiers", str(port), file.name, logs=logs
        ) as process:
            yield Verifiers(process, len(addresses), len(secrets))


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Keeps *process* from running while the context lasts."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def wire(authority: Process, logs: Path) -> Iterator[Process]:
    """A way to *authority* that is cut while the process is stopped."""
    port, behind = free_port(), str(authority.port)
    with running("wire", port, "benchmarks.servers.wire", str(port), behind, logs=logs) as it:
        yield it
