"""Verifiers that are connected while something is measured, in a process of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.processes import (
    READY,
    BenchmarkError,
    Process,
    json_file,
    serving,
    wait_until,
)

LEASE_AGAIN: Final = 30.0
"""Seconds in which a verifier must hold a lease again."""


@dataclass(frozen=True, slots=True)
class State:
    """How many verifiers hold a lease; how many verdicts `VALID` they would give from memory.

    And how many had credits to spend; those that spend have some again.
    """

    leases: int
    valid: int
    spending: int = 0


@dataclass(frozen=True, slots=True)
class Verifiers:
    """A process with *count* verifiers, each of which had *verdicts* in its cache at the start."""

    process: Process
    count: int
    verdicts: int

    def state(self) -> State:
        """Returns their present state."""
        with socket.create_connection(("127.0.0.1", self.process.port), timeout=10) as connection:
            state = b"".join(iter(lambda: connection.recv(1 << 12), b""))
        return State(**json.loads(state))

    def wait_until_ready(self, within: float = READY) -> None:
        """Returns when all hold a lease and have all verdicts; raises `BenchmarkError`."""
        wait_until(self.process, self._lacks, within)

    def _lacks(self) -> str:
        state, verdicts = self.state(), self.count * self.verdicts
        if (state.leases, state.valid) == (self.count, verdicts):
            return ""
        return (
            f"{state.leases} of {self.count} verifiers hold a lease, "
            f"and {state.valid} of {verdicts} verdicts are in memory"
        )

    def must_refuse(self) -> None:
        """Raises `BenchmarkError` if any would still accept one of the secrets."""
        if (valid := self.state().valid) > 0:
            raise BenchmarkError(f"{valid} revoked keys are still accepted")

    def wait_for_leases(self) -> None:
        """Returns when all hold a lease; raises `BenchmarkError`."""
        deadline = time.monotonic() + LEASE_AGAIN
        while self.state().leases < self.count:
            if time.monotonic() > deadline:
                raise BenchmarkError("a verifier does not get its lease again")
            time.sleep(0.05)


@contextmanager
def verifiers(
    authority: Authority,
    addresses: Sequence[str],
    secrets: Sequence[str],
    logs: Path,
    *,
    spool: Path | None = None,
) -> Iterator[Verifiers]:
    """Runs a verifier for each of *addresses*, which lead to the books of *authority*.

    All have the verdicts on *secrets*. With a *spool* they spend credits, for the last of these.
    """
    plan = {
        "addresses": [*addresses],
        "token_file": str(authority.token_file),
        "secrets": [*secrets],
        "spool": str(spool) if spool else "",
    }
    with json_file(plan) as file, serving("verifiers", file, logs=logs) as process:
        yield Verifiers(process, len(addresses), len(secrets))


@contextmanager
def stopped(process: Process) -> Iterator[None]:
    """Keeps *process* from running while the context lasts."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def wire(authority: Process, logs: Path) -> AbstractContextManager[Process]:
    """Runs a way to *authority* that is cut while its process is stopped."""
    return serving("wire", str(authority.port), logs=logs)
