"""`Verify` and `BatchVerify` of keys that the authority has in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.authority import Authority, verified
from benchmarks.bare import bare_grpc
from benchmarks.comparing import Comparison, Measuring, Side
from benchmarks.loads import grpc_load
from benchmarks.processes import BenchmarkError
from benchmarks.verify_calls import verify_load, verify_side
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest

_BATCH_VERIFY: Final = "/keyauthority.v1.VerificationService/BatchVerify"


def verify(measuring: Measuring, asked: Authority, secret: str, logs: Path) -> Comparison:
    """`Verify` of one key against a server that has the reply at hand."""
    reply = asked.verify(secret)
    with bare_grpc(reply, logs) as bare:
        bare_reply = verified(bare, asked.token, secret)
        for each in (reply, bare_reply):
            # What is left of it differs by when it is asked.
            each.ClearField("cache_for")
        if bare_reply != reply:
            raise BenchmarkError("the two servers answer differently")
        return measuring.compare(
            "`Verify` over gRPC, key in memory",
            verify_side(asked, [secret]),
            "bare grpc.aio, same messages, prebuilt reply",
            Side(bare, verify_load(bare.port, asked.token, [secret])),
            owed="0.80",
            aim="0.90",
        )


def batch(measuring: Measuring, asked: Authority, secrets: Sequence[str]) -> Comparison:
    """Verdicts on all of *secrets* in a call, against one in a call."""
    body = BatchVerifyRequest(secrets=secrets).SerializeToString()
    batches = grpc_load(asked.process.port, _BATCH_VERIFY, asked.token, [body])
    return measuring.compare(
        f"`BatchVerify`, verdicts, {len(secrets)} a call",
        Side(asked.process, batches, len(secrets), asked.counted),
        "`Verify`",
        verify_side(asked, secrets[:1]),
        owed="15",
        aim="25",
    )
