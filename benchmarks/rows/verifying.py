"""`Verify` and `BatchVerify` of keys that the authority has in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks import authority as authorities
from benchmarks.authority import Authority
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.loads import Generator, grpc_load
from benchmarks.processes import BenchmarkError, serving
from keyauthority.client import Secret
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest, VerifyRequest

_SERVICE: Final = "/keyauthority.v1.VerificationService"


def verify(measuring: Measuring, authority: Authority, secret: str, logs: Path) -> Comparison:
    """Compares `Verify` of one key with a bare grpc.aio server that has the reply at hand."""
    reply, file = authority.verify(secret), logs / "reply.pb"
    file.write_bytes(reply.SerializeToString())
    with serving("bare_grpc", str(file), logs=logs) as bare:
        bare_reply = authorities.verify(bare, authority.token, secret)
        for answer in (reply, bare_reply):
            # What is left of it differs from call to call.
            answer.ClearField("cache_for")
        if bare_reply != reply:
            raise BenchmarkError("the two servers answer differently")
        return measuring.compare(
            "`Verify` over gRPC, key in memory",
            verify_side(authority, [secret]),
            "bare grpc.aio, same messages, prebuilt reply",
            Side(bare, _load(bare.port, authority.token, [secret])),
            owed="0.85",
            aim="0.92",
        )


def batch(measuring: Measuring, authority: Authority, secrets: Sequence[str]) -> Comparison:
    """Compares verdicts on all of *secrets* in a call with one in a call."""
    body = BatchVerifyRequest(secrets=secrets).SerializeToString()
    token = authority.token.reveal()
    batches = grpc_load(authority.process.port, f"{_SERVICE}/BatchVerify", token, [body])
    return measuring.compare(
        f"`BatchVerify`, verdicts, {len(secrets)} a call",
        Side(authority.process, batches, len(secrets), authority.counted),
        "`Verify`",
        verify_side(authority, secrets[:1]),
        owed="28",
        aim="40",
    )


def verify_side(authority: Authority, secrets: Sequence[str], *, fresh: bool = False) -> Side:
    """Returns an authority under calls of `Verify` for each of *secrets* in turn.

    It counts its verdicts; *fresh* calls go past every cache.
    """
    load = _load(authority.process.port, authority.token, secrets, fresh=fresh)
    return Side(authority.process, load, counted=authority.counted)


def _load(port: int, token: Secret, secrets: Sequence[str], *, fresh: bool = False) -> Generator:
    requests = (VerifyRequest(secret=secret, fresh=fresh) for secret in secrets)
    bodies = [request.SerializeToString() for request in requests]
    return grpc_load(port, f"{_SERVICE}/Verify", token.reveal(), bodies)
