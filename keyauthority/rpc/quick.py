"""Verdicts from memory, answered before anything of a call is set up that they don't need."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from keyauthority import boottime
from keyauthority.domain.answering import Verdicts
from keyauthority.rpc import convert
from keyauthority.rpc.metrics import TALLIES
from keyauthority.v1.verification_service_pb2 import VerifyRequest

VERIFY: Final = "VerificationService.Verify"


class QuickVerify:
    """Answers a `Verify` whose verdict is in memory; the rest is for the servicer."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    def __call__(self, sent: bytes) -> bytes | None:
        """The serialised answer to a serialised request, or None: it takes longer, or is an error."""
        try:
            request = VerifyRequest.FromString(sent)
        except DecodeError:
            return None
        if request.fresh:
            return None
        now = boottime.now()
        known = self._verdicts.known(request.secret, request.at_least_revision, now)
        if known is None:
            return None
        TALLIES.verdicts[known.number] += 1
        return convert.known_verdict(known, self._verdicts.applied, now)
