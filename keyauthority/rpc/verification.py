"""VerificationService."""

from __future__ import annotations

from keyauthority.domain import limits
from keyauthority.domain.revoking_presented import RevokingPresented
from keyauthority.domain.verdicts import Verification
from keyauthority.domain.verifying import Verifying
from keyauthority.rpc import convert, metrics
from keyauthority.rpc.call import Context, current_actor
from keyauthority.v1 import verification_service_pb2 as v1
from keyauthority.v1 import verification_service_pb2_grpc as v1_grpc


class VerificationServicer(v1_grpc.VerificationServiceServicer):
    """Answers verifiers. Every answer is read from the books, so all of them are `fresh`."""

    def __init__(self, verifying: Verifying, revoking: RevokingPresented) -> None:
        self._verifying = verifying
        self._revoking = revoking

    async def Verify(self, request: v1.VerifyRequest, context: Context) -> v1.VerifyResponse:
        secret = limits.presented(request.secret)
        return _answer(await self._verifying.verify(secret, request.at_least_revision))

    async def BatchVerify(
        self, request: v1.BatchVerifyRequest, context: Context
    ) -> v1.BatchVerifyResponse:
        limits.batch(request.secrets, "secrets")
        presented = [limits.presented(secret, "secrets") for secret in request.secrets]
        given = await self._verifying.verify_all(presented, request.at_least_revision)
        return v1.BatchVerifyResponse(answers=map(_answer, given))

    async def RevokePresented(
        self, request: v1.RevokePresentedRequest, context: Context
    ) -> v1.RevokePresentedResponse:
        key, receipt = await self._revoking.revoke(current_actor(), request.secret, request.note)
        return v1.RevokePresentedResponse(key_id=key.id, receipt=convert.receipt(receipt))


def _answer(given: Verification) -> v1.VerifyResponse:
    metrics.count_verdict(given.verdict.name)()
    return convert.verification(given)
