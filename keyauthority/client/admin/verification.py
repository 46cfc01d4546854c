"""Calls of VerificationService about one secret in hand. Verifiers use `Verifier`."""

from __future__ import annotations

from keyauthority.base.process.clocks import boottime
from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, call
from keyauthority.client.admin.records import Changed
from keyauthority.client.verification import Verification, read
from keyauthority.domain.secrets import Secret
from keyauthority.v1 import verification_service_pb2 as v1


def verify(secret: Secret) -> Call[Verification]:
    """Returns the verdict on the secret, by the authority's books.

    Reading the reply raises `VerificationUnavailable` for a verdict that this version does not know.
    """
    request = v1.VerifyRequest(secret=secret.reveal(), fresh=True)
    return call(request, v1.VerifyResponse, lambda reply: read(reply, boottime(), boottime))


def revoke_presented(secret: Secret, note: str = "") -> Call[Changed[str]]:
    """Revokes the key of the secret. The record of the result is the key's id."""
    request = v1.RevokePresentedRequest(secret=secret.reveal(), note=note)
    return call(
        request,
        v1.RevokePresentedResponse,
        lambda reply: Changed(reply.key_id, reading.receipt(reply.receipt)),
    )
