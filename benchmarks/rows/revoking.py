"""How long a revocation takes while verifiers are connected that have the keys in their caches."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority
from benchmarks.figures import Figure, Growth, Latencies, latencies
from benchmarks.processes import BenchmarkError
from benchmarks.verifiers import verifiers
from keyauthority.v1.key_pb2 import KeyState
from keyauthority.v1.key_service_pb2 import RevokeKeyRequest
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub

CONNECTED: Final = 10
MORE_AND_MORE: Final = (1, CONNECTED, 50)


def revoking(
    where: str, asked: Sequence[Authority], count: int, logs: Path, *, owed: int, aim: int
) -> Figure:
    """`RevokeKey` through all of *asked* in turn; what is *owed* are milliseconds at p99."""
    took = with_verifiers(asked, count, CONNECTED, logs)
    what = f"`RevokeKey`, {where}, {CONNECTED} connected verifiers"
    return Figure(what, str(took), f"p99 ≤ {owed} ms", f"{aim} ms", took.p99 <= owed)


def growth(where: str, asked: Sequence[Authority], count: int, logs: Path) -> Growth:
    """*count* revocations each, with more and more verifiers."""
    rows = []
    for connected in MORE_AND_MORE:
        took = with_verifiers(asked, count, connected, logs)
        rows.append((str(connected), f"{took.p50:.1f}", f"{took.p99:.1f}"))
    return Growth((f"connected verifiers, {where}", "`RevokeKey` p50 ms", "p99 ms"), rows)


def with_verifiers(asked: Sequence[Authority], count: int, connected: int, logs: Path) -> Latencies:
    """Revokes *count* keys, each in the caches of *connected* verifiers spread over *asked*."""
    issued = list(asked[0].issue(count, asked[0].create_workspace()))
    addresses = [one.address for one in itertools.islice(itertools.cycle(asked), connected)]
    secrets = [secret for _, secret in issued]
    with verifiers(addresses, asked[0].data_dir, secrets, logs) as there:
        there.must_be_ready()
        took = _revoke(asked, [key_id for key_id, _ in issued], connected)
        there.must_refuse()
    return took


def revocations(asked: Sequence[Authority], workspace_id: str, count: int) -> Latencies:
    """Issues *count* keys and revokes them, with no verifier connected."""
    return _revoke(asked, [key_id for key_id, _ in asked[0].issue(count, workspace_id)], 0)


def _revoke(asked: Sequence[Authority], key_ids: Sequence[str], connected: int) -> Latencies:
    turns = itertools.cycle(asked)
    for one in asked:
        # The first call of a channel connects it.
        one.longest_wait()
    # The authority's own processes are sessions as well.
    sessions = connected + len(asked)
    return latencies([_revocation(next(turns), key_id, sessions) for key_id in key_ids])


def _revocation(asked: Authority, key_id: str, sessions: int) -> float:
    revoke = KeyServiceStub(asked.channel).RevokeKey
    begun = time.perf_counter()
    reply = revoke(RevokeKeyRequest(key_id=key_id), metadata=asked.metadata)
    took = time.perf_counter() - begun
    if reply.key.state != KeyState.KEY_STATE_REVOKED:
        raise BenchmarkError("a key was not revoked")
    fenced = reply.receipt.sessions_acknowledged + reply.receipt.leases_waited_out
    if fenced < sessions:
        raise BenchmarkError(f"a revocation waited for {fenced} sessions only")
    return took
