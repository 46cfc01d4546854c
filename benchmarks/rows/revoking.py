"""How long a revocation takes while verifiers are connected that have the keys in their caches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError
from benchmarks.results import Figure, Growth, Latencies
from benchmarks.verifiers import verifiers
from keyauthority.client.admin import KeyState, keys

CONNECTED: Final = 10


@dataclass(frozen=True, slots=True)
class Owed:
    """Milliseconds that a revocation may take, and that we would like: half of them, all but 1 %."""

    p50: tuple[int, int]
    p99: tuple[int, int]


ON_SQLITE: Final = Owed(p50=(5, 3), p99=(25, 10))
ON_POSTGRES: Final = Owed(p50=(10, 6), p99=(100, 40))
MORE_AND_MORE: Final = (1, CONNECTED, 50)


def revoking(
    where: str, replicas: Sequence[Authority], count: int, logs: Path, owed: Owed
) -> Figure:
    """Measures `RevokeKey`, one at a time, through all *replicas* in turn."""
    latencies = with_verifiers(replicas, count, CONNECTED, logs)
    (p50, p50_aim), (p99, p99_aim) = owed.p50, owed.p99
    return Figure(
        f"`RevokeKey`, {where}, {CONNECTED} connected verifiers",
        str(latencies),
        f"p50 ≤ {p50} ms, p99 ≤ {p99} ms",
        f"{p50_aim}, {p99_aim} ms",
        latencies.p50 <= p50 and latencies.p99 <= p99,
    )


def growth(where: str, replicas: Sequence[Authority], count: int, logs: Path) -> Growth:
    """Measures *count* revocations each, with more and more verifiers."""
    rows = []
    for connected in MORE_AND_MORE:
        latencies = with_verifiers(replicas, count, connected, logs)
        rows.append((str(connected), f"{latencies.p50:.1f}", f"{latencies.p99:.1f}"))
    return Growth((f"connected verifiers, {where}", "`RevokeKey` p50 ms", "p99 ms"), rows)


def with_verifiers(
    replicas: Sequence[Authority], count: int, connected: int, logs: Path
) -> Latencies:
    """Revokes *count* keys, each in the caches of *connected* verifiers spread over *replicas*."""
    first = replicas[0]
    key_ids, secrets = zip(*first.issue(count, first.create_workspace()), strict=True)
    addresses = [replica.address for replica in islice(cycle(replicas), connected)]
    with verifiers(first, addresses, secrets, logs) as others:
        others.wait_until_ready()
        latencies = revoke_all(replicas, key_ids, connected)
        others.must_refuse()
    return latencies


def revoke_all(
    replicas: Sequence[Authority], key_ids: Sequence[str], connected: int = 0
) -> Latencies:
    """Revokes each key through one of *replicas* in turn, while *connected* verifiers are."""
    for replica in replicas:
        # The first call of a channel connects it.
        replica.longest_wait()
    # The replicas are sessions as well.
    sessions = connected + len(replicas)
    turns = zip(cycle(replicas), key_ids, strict=False)
    return Latencies.of([revoke(replica, key_id, sessions) for replica, key_id in turns])


def revoke(replica: Authority, key_id: str, sessions: int) -> float:
    """Revokes a key; returns the seconds. Raises `BenchmarkError` if it did not wait for *sessions*."""
    start = time.perf_counter()
    revoked = replica.client.call(keys.revoke(key_id))
    seconds = time.perf_counter() - start
    if revoked.record.state is not KeyState.REVOKED:
        raise BenchmarkError("a key was not revoked")
    fenced = revoked.receipt.sessions_acknowledged + revoked.receipt.leases_waited_out
    if fenced < sessions:
        raise BenchmarkError(f"a revocation waited for {fenced} sessions only")
    return seconds
