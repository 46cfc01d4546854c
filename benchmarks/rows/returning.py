"""How soon a gateway is back that lost its lease while many keys were in use."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.authority import running_authority
from benchmarks.edges import gateway
from benchmarks.metrics import value_of
from benchmarks.processes import (
    BenchmarkError,
    Process,
    json_file,
    serving,
    wait_until,
)
from benchmarks.results import Figure
from benchmarks.rows import stored
from benchmarks.verifiers import stopped, wire
from keyauthority.client.admin import workspaces
from tests.ports import free_port

KEYS: Final = 5_000
CLIENTS: Final = 256
PAUSE: Final = 0.05
"""Seconds for which a client pauses that had no good answer."""

OWED: Final = 3_000
AIM: Final = 8_000


@dataclass(frozen=True, slots=True)
class _Clients:
    process: Process

    def state(self) -> Any:
        """Returns the good answers by hundredths of a second, and how many secrets had one."""
        with socket.create_connection(("127.0.0.1", self.process.port), timeout=10) as connection:
            return json.loads(b"".join(iter(lambda: connection.recv(1 << 16), b"")))

    def answered_between(self, start: float, end: float) -> int:
        """Returns the good answers between two times of the monotonic clock."""
        good = self.state()["good"].items()
        return sum(count for at, count in good if start * 100 <= int(at) < end * 100)


def returning(scratch: Path, count: int = KEYS) -> Iterator[Figure]:
    """Measures a gateway in the second after its lease came back, with *count* keys in use.

    The gateway and the authority can't reach each other until the lease is over. Meanwhile the keys'
    workspace is suspended and resumed, so that no verdict from before counts any more.
    """
    folder = scratch / "returning"
    folder.mkdir()
    books = stored.books(count, folder)
    metrics_port = free_port()
    with (
        running_authority(books.data_dir, scratch) as authority,
        wire(authority.process, scratch) as way,
        serving("upstream", logs=scratch) as upstream,
        gateway(
            authority,
            upstream,
            scratch,
            access_log="off",
            address=way.address,
            metrics_port=metrics_port,
        ) as ours,
        _presenting(ours, books.secrets, scratch) as clients,
    ):
        wait_until(ours, lambda: _lacks_keys(clients, count))
        with stopped(way):
            for suspended in (True, False):
                authority.client.call(workspaces.update(books.workspace_id, suspended=suspended))
            if value_of("gateway_lease_held", metrics_port):
                raise BenchmarkError("the gateway still holds its lease")
        wait_until(ours, lambda: _lacks_lease(metrics_port))
        start = time.monotonic()
        time.sleep(1)
        answered = clients.answered_between(start, start + 1)
    yield Figure(
        f"good answers of a gateway in the first second after its lease returns, {count:,} keys in use",
        f"{answered:,}",
        f"{OWED:,}",
        f"{AIM:,}",
        answered >= OWED,
    )


@contextmanager
def _presenting(ours: Process, secrets: Sequence[str], logs: Path) -> Iterator[_Clients]:
    plan = {
        "port": ours.port,
        "path": "/authz",
        "secrets": [*secrets],
        "clients": CLIENTS,
        "pause": PAUSE,
    }
    with json_file(plan) as file, serving("presenting", file, logs=logs) as process:
        yield _Clients(process)


def _lacks_keys(clients: _Clients, count: int) -> str:
    presented = clients.state()["presented"]
    return "" if presented == count else f"{presented} of {count} keys had a good answer"


def _lacks_lease(metrics_port: int) -> str:
    return "" if value_of("gateway_lease_held", metrics_port) else "it holds no lease"
