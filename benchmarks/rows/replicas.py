"""Several processes of the authority on one PostgreSQL database."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority, authority
from benchmarks.comparing import Side
from benchmarks.figures import Growth
from benchmarks.postgres import books
from benchmarks.rows.revoking import with_verifiers
from benchmarks.verify_calls import verify_side

MORE_AND_MORE: Final = (1, 2, 4)
CONNECTED: Final = 10


@contextmanager
def replicas(url: str, count: int, scratch: Path) -> Iterator[list[Authority]]:
    """*count* authorities over a fresh database in the PostgreSQL server at *url*."""
    with ExitStack() as stack:
        data_dir = scratch / f"replicas-{secrets.token_hex(4)}"
        stack.enter_context(books(url, data_dir))
        yield [stack.enter_context(authority(data_dir, scratch)) for _ in range(count)]


def growth(url: str, seconds: float, revoked: int, scratch: Path) -> Growth:
    """Rates and revocations with more and more processes."""
    rows = []
    for count in MORE_AND_MORE:
        with replicas(url, count, scratch) as asked:
            rate = _rate(asked, seconds)
            took = with_verifiers(asked, revoked, CONNECTED, scratch)
        rows.append((str(count), f"{rate:,.0f}", f"{took.p50:.1f}", f"{took.p99:.1f}"))
    headings = (
        "authority processes, PostgreSQL",
        "`Verify` of a key in memory /s",
        f"`RevokeKey` p50 ms, {CONNECTED} verifiers",
        "p99 ms",
    )
    return Growth(headings, rows)


def _rate(asked: Sequence[Authority], seconds: float) -> float:
    """Calls a second of all together, each under its own load of one key."""
    ((_, secret),) = asked[0].issue(1, asked[0].create_workspace())
    sides = [verify_side(one, [secret]) for one in asked]
    with ThreadPoolExecutor(len(sides)) as threads:
        for length in (min(1.0, seconds), seconds):
            samples = list(threads.map(Side.sample, sides, repeat(length)))
    return sum(sample.rate for sample in samples)
