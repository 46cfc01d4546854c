"""VerificationService."""

from __future__ import annotations

from datetime import timedelta

from keyauthority.domain import limits
from keyauthority.domain.callers import Actor
from keyauthority.domain.revoking import RevokingPresented
from keyauthority.domain.sessions import Claim, Grant
from keyauthority.domain.verdicts import Verification
from keyauthority.rpc import convert
from keyauthority.rpc.service import Parts
from keyauthority.v1 import verification_service_pb2 as v1
from keyauthority.v1.wire import duration


class VerificationServicer:
    """Answers verifiers, and keeps those that cache coherent."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._counts = parts.metrics.verdicts
        self._syncing = parts.syncing
        self._revoking = RevokingPresented(parts.books, parts.store, parts.keyring)

    async def Verify(self, request: v1.VerifyRequest, actor: Actor) -> v1.VerifyResponse:
        secret = limits.presented(request.secret)
        [verification] = await self._verdicts.verify_all(
            [secret], request.at_least_revision, fresh=request.fresh
        )
        return self._answer(verification)

    async def BatchVerify(
        self, request: v1.BatchVerifyRequest, actor: Actor
    ) -> v1.BatchVerifyResponse:
        limits.batch(request.secrets, "secrets")
        secrets = [limits.presented(secret, "secrets") for secret in request.secrets]
        verifications = await self._verdicts.verify_all(
            secrets, request.at_least_revision, fresh=request.fresh
        )
        return v1.BatchVerifyResponse(answers=map(self._answer, verifications))

    async def Sync(self, request: v1.SyncRequest, actor: Actor) -> v1.SyncResponse:
        grant = await self._syncing.sync(
            actor.caller.id,
            request.session_id,
            request.name,
            Claim(request.epoch, request.revision),
            convert.length_of(request, "wait") or timedelta(),
        )
        return _sync_response(grant)

    async def Leave(self, request: v1.LeaveRequest, actor: Actor) -> v1.LeaveResponse:
        await self._syncing.leave(actor.caller.id, request.session_id)
        return v1.LeaveResponse()

    async def RevokePresented(
        self, request: v1.RevokePresentedRequest, actor: Actor
    ) -> v1.RevokePresentedResponse:
        key, receipt = await self._revoking.revoke(actor, request.secret, request.note)
        return v1.RevokePresentedResponse(key_id=key.id, receipt=convert.receipt(receipt))

    def _answer(self, verification: Verification) -> v1.VerifyResponse:
        self._counts[verification.verdict.value] += 1
        return verify_response(verification)


def verify_response(verification: Verification) -> v1.VerifyResponse:
    """Returns the message of a verdict."""
    response = v1.VerifyResponse(
        verdict=convert.number_of(verification.verdict),
        epoch=verification.epoch,
        revision=verification.revision,
        cache_for=duration(verification.cache_for),
        key_revoked=verification.key_revoked,
    )
    key = verification.key
    if key is not None:
        response.key.id = key.id
        response.key.workspace_id = key.workspace_id
        response.key.name = key.name
        response.key.scopes.extend(key.scopes)
        response.key.labels.update(key.labels)
        if key.expire_time is not None:
            response.key.expire_time.FromDatetime(key.expire_time)
    return response


def _sync_response(grant: Grant) -> v1.SyncResponse:
    return v1.SyncResponse(
        session_id=grant.session_id,
        epoch=grant.head.epoch,
        revision=grant.head.revision,
        lease=duration(grant.lease),
        reset=grant.subjects is None,
        subjects=grant.subjects or (),
        foreign_secrets=grant.foreign_secrets,
    )
