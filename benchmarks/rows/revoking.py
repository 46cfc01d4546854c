"""How long a revocation takes while verifiers are connected that have the keys in their caches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError
from benchmarks.results import Figure, Growth, Latencies
from benchmarks.verifiers import verifiers
from keyauthority.client.admin import KeyState, keys

CONNECTED: Final = 10
MORE_AND_MORE: Final = (1, CONNECTED, 50)


def revoking(
    where: str, replicas: Sequence[Authority], count: int, logs: Path, *, owed: int, aim: int
) -> Figure:
    """Measures `RevokeKey` through all *replicas* in turn; *owed* and *aim* are milliseconds at p99."""
    latencies = with_verifiers(replicas, count, CONNECTED, logs)
    what = f"`RevokeKey`, {where}, {CONNECTED} connected verifiers"
    met = latencies.p99 <= owed
    return Figure(what, str(latencies), f"p99 ≤ {owed} ms", f"{aim} ms", met)


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
        others.must_be_ready()
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
