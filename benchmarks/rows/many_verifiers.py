"""What it costs that a thousand verifiers are connected."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.results import Figure
from benchmarks.rows.revoking import revoke_all
from benchmarks.verifiers import verifiers

MANY: Final = 1_000
OWED_MS: Final = 300
AIM_MS: Final = 100
OWED_SHARE: Final = 15
AIM_SHARE: Final = 5


def many_verifiers(
    where: str,
    replicas: Sequence[Authority],
    revoked: int,
    seconds: float,
    logs: Path,
    count: int = MANY,
) -> Iterator[Figure]:
    """Measures *count* verifiers that only renew their leases, then *revoked* revocations.

    They are spread over *replicas*, whose CPU time is added up.
    """
    first = replicas[0]
    key_ids, secrets = zip(*first.issue(revoked, first.create_workspace()), strict=True)
    addresses = [replica.address for replica in islice(cycle(replicas), count)]
    with verifiers(first, addresses, secrets, logs) as others:
        others.wait_until_ready()
        share = 100 * _cores(replicas, seconds)
        yield Figure(
            f"idle polls of {count:,} connected verifiers, {where}",
            f"{share:.0f} % of a core",
            f"≤ {OWED_SHARE} %",
            f"{AIM_SHARE} %",
            share <= OWED_SHARE,
        )
        latencies = revoke_all(replicas, key_ids, count)
        others.must_refuse()
    yield Figure(
        f"`RevokeKey`, {where}, {count:,} connected verifiers",
        str(latencies),
        f"p50 ≤ {OWED_MS} ms",
        f"{AIM_MS} ms",
        latencies.p50 <= OWED_MS,
    )


def _cores(replicas: Sequence[Authority], seconds: float) -> float:
    before, start = _cpu(replicas), time.perf_counter()
    time.sleep(seconds)
    return (_cpu(replicas) - before) / (time.perf_counter() - start)


def _cpu(replicas: Sequence[Authority]) -> float:
    return sum(replica.process.cpu_seconds() for replica in replicas)
