"""Several processes of the authority on one PostgreSQL database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority, running_authority
from benchmarks.comparing import Side
from benchmarks.postgres import migrated_database
from benchmarks.results import Growth
from benchmarks.rows.revoking import CONNECTED, with_verifiers
from benchmarks.rows.verifying import verify_side

MORE_AND_MORE: Final = (1, 2, 4)


@contextmanager
def running_replicas(url: str, count: int, scratch: Path) -> Iterator[list[Authority]]:
    """Runs *count* authorities over a fresh database in the PostgreSQL server at *url*."""
    data_dir = scratch / f"replicas-{secrets.token_hex(4)}"
    with migrated_database(url) as database, ExitStack() as stack:
        yield [
            stack.enter_context(running_authority(data_dir, scratch, database))
            for _ in range(count)
        ]


def growth(url: str, seconds: float, revoked: int, scratch: Path) -> Growth:
    """Measures rates and revocations with more and more processes."""
    rows = []
    for count in MORE_AND_MORE:
        with running_replicas(url, count, scratch) as replicas:
            rate = _rate(replicas, seconds)
            latencies = with_verifiers(replicas, revoked, CONNECTED, scratch)
        rows.append((str(count), f"{rate:,.0f}", f"{latencies.p50:.1f}", f"{latencies.p99:.1f}"))
    headings = (
        "authority processes, PostgreSQL",
        "`Verify` of a key in memory /s",
        f"`RevokeKey` p50 ms, {CONNECTED} verifiers",
        "p99 ms",
    )
    return Growth(headings, rows)


def _rate(replicas: Sequence[Authority], seconds: float) -> float:
    # Calls a second of all together, each replica under a load of its own of one key.
    ((_, secret),) = replicas[0].issue(1, replicas[0].create_workspace())
    for replica in replicas:
        # The first verdict opens connections to the database, which takes its time with many replicas.
        replica.wait_for_verdict(secret)
    sides = [verify_side(replica, [secret]) for replica in replicas]
    with ThreadPoolExecutor(len(sides)) as threads:
        for length in (min(1.0, seconds), seconds):
            samples = list(threads.map(Side.sample, sides, repeat(length)))
    return sum(sample.rate for sample in samples)
