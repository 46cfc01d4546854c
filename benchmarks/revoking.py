"""How long a revocation takes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from benchmarks.authority import Authority
from benchmarks.processes import BenchmarkError
from keyauthority.v1.key_pb2 import KeyState
from keyauthority.v1.key_service_pb2 import RevokeKeyRequest
from keyauthority.v1.key_service_pb2_grpc import KeyServiceStub


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds of `count` calls made one after the other."""

    count: int
    p50: float
    p99: float
    worst: float


def revocations(authority: Authority, workspace_id: str, count: int) -> Latencies:
    """Issues *count* keys (at least 2), then revokes them one by one; raises `BenchmarkError`."""
    revoke = KeyServiceStub(authority.channel).RevokeKey
    took = []
    for key_id, _ in list(authority.issue(count, workspace_id)):
        begun = time.perf_counter()
        reply = revoke(RevokeKeyRequest(key_id=key_id), metadata=authority.metadata)
        took.append((time.perf_counter() - begun) * 1000)
        if reply.key.state != KeyState.KEY_STATE_REVOKED:
            raise BenchmarkError("a key was not revoked")
    hundredths = statistics.quantiles(took, n=100, method="inclusive")
    return Latencies(count, hundredths[49], hundredths[98], max(took))
