"""Loads of `Verify`, for several rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.authority import Authority
from benchmarks.comparing import Side
from benchmarks.loads import Generator, grpc_load
from keyauthority.v1.verification_service_pb2 import VerifyRequest

_VERIFY: Final = "/keyauthority.v1.VerificationService/Verify"


def verify_load(port: int, token: str, secrets: Sequence[str], *, fresh: bool = False) -> Generator:
    """Calls of `Verify` for each of *secrets* in turn; *fresh* ones go past every cache."""
    requests = (VerifyRequest(secret=secret, fresh=fresh) for secret in secrets)
    return grpc_load(port, _VERIFY, token, [one.SerializeToString() for one in requests])


def verify_side(asked: Authority, secrets: Sequence[str], *, fresh: bool = False) -> Side:
    """An authority under calls of `Verify`, whose verdicts it counts."""
    load = verify_load(asked.process.port, asked.token, secrets, fresh=fresh)
    return Side(asked.process, load, counted=asked.counted)
