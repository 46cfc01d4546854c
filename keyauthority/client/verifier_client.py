"""Verifies secrets from code without an event loop, by a call for each.

from pathlib import Path

from keyauthority.client import Verdict, VerificationUnavailable, VerifierClient, load_token

token = load_token(Path("/run/secrets/verifier.token"))
with VerifierClient("localhost:50051", token=token) as verifier:
    try:
        verification = verifier.verify(presented)
    except VerificationUnavailable:
        return respond(503)  # neither let the request in nor call its key bad
    if verification.verdict is not Verdict.VALID:
        return respond(401)
    return serve(verification.key.workspace_id)
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import grpc

from keyauthority.base.process.clocks import boottime
from keyauthority.client.channel import connect_blocking
from keyauthority.client.credentials import ClientCertificate, bearer_metadata
from keyauthority.client.verification import (
    MALFORMED,
    Verification,
    VerificationUnavailable,
    is_noise,
    read,
)
from keyauthority.domain.secrets import Secret
from keyauthority.v1.verification_service_pb2 import VerifyRequest
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub


class VerifierClient:
    """Verifies secrets without a cache: the authority reads its database for each answer.

    Any number of threads may share one. A process that forks makes its own in each child. In
    asyncio use `Verifier`, which answers from memory and is right all the same, and takes the same
    arguments.

    Args:
        channel: The channel to the authority, in place of *address*. The caller closes it.
    """

    def __init__(
        self,
        address: str = "",
        *,
        token: Secret,
        tls_ca: Path | None = None,
        client_certificate: ClientCertificate | None = None,
        timeout: float = 0.5,
        channel: grpc.Channel | None = None,
    ) -> None:
        self._own: grpc.Channel | None = None
        if channel is None:
            channel = self._own = connect_blocking(
                address, tls_ca=tls_ca, client_certificate=client_certificate
            )
        self._stub = VerificationServiceStub(channel)
        self._metadata = bearer_metadata(token)
        self._timeout = timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel to *address*. There are no verdicts from now on."""
        if self._own is not None:
            self._own.close()

    def verify(self, secret: str) -> Verification:
        """Returns the verdict on *secret*, as it was presented.

        Raises:
            VerificationUnavailable: There is no verdict. Refuse to decide: neither accept the
                request nor tell the presenter that the key is bad.
        """
        if is_noise(secret):
            return MALFORMED
        request, sent = VerifyRequest(secret=secret, fresh=True), boottime()
        try:
            reply = self._stub.Verify(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            # The status alone: the authority's sentence is not for this log.
            raise VerificationUnavailable(error.code().name) from None
        except ValueError:
            # gRPC raises it for a closed channel.
            raise VerificationUnavailable("closed") from None
        return read(reply, sent, boottime)
