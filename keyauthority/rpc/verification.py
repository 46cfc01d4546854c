"""VerificationService."""

from __future__ import annotations

from datetime import timedelta

from keyauthority.domain import limits
from keyauthority.domain.callers import Actor
from keyauthority.domain.revoking import RevokingPresented
from keyauthority.domain.sessions import Claim
from keyauthority.domain.verdicts import Verification
from keyauthority.rpc import convert
from keyauthority.rpc.parts import Parts
from keyauthority.v1 import verification_service_pb2 as v1


class VerificationServicer:
    """Answers verifiers, and keeps those that cache coherent."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._given = parts.metrics.verdicts
        self._syncing = parts.syncing
        self._revoking = RevokingPresented(parts.books, parts.store, parts.keyring)

    async def Verify(self, request: v1.VerifyRequest, actor: Actor) -> v1.VerifyResponse:
        secret = limits.presented(request.secret)
        [given] = await self._verdicts.verify_all(
            [secret], request.at_least_revision, fresh=request.fresh
        )
        return self._answer(given)

    async def BatchVerify(
        self, request: v1.BatchVerifyRequest, actor: Actor
    ) -> v1.BatchVerifyResponse:
        limits.batch(request.secrets, "secrets")
        presented = [limits.presented(secret, "secrets") for secret in request.secrets]
        given = await self._verdicts.verify_all(
            presented, request.at_least_revision, fresh=request.fresh
        )
        return v1.BatchVerifyResponse(answers=map(self._answer, given))

    async def Sync(self, request: v1.SyncRequest, actor: Actor) -> v1.SyncResponse:
        grant = await self._syncing.sync(
            actor.caller.id,
            request.session_id,
            request.name,
            Claim(request.epoch, request.revision),
            convert.length_of(request, "wait") or timedelta(),
        )
        return convert.grant(grant)

    async def Leave(self, request: v1.LeaveRequest, actor: Actor) -> v1.LeaveResponse:
        await self._syncing.leave(actor.caller.id, request.session_id)
        return v1.LeaveResponse()

    async def RevokePresented(
        self, request: v1.RevokePresentedRequest, actor: Actor
    ) -> v1.RevokePresentedResponse:
        key, receipt = await self._revoking.revoke(actor, request.secret, request.note)
        return v1.RevokePresentedResponse(key_id=key.id, receipt=convert.receipt(receipt))

    def _answer(self, given: Verification) -> v1.VerifyResponse:
        self._given[given.verdict.value] += 1
        return convert.verification(given)
