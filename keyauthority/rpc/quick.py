"""Verdicts from memory, answered before anything of a call is set up that they don't need."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from keyauthority.domain import limits
from keyauthority.rpc import convert
from keyauthority.rpc.parts import Parts
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest, VerifyRequest

# Field 1, delimited by its length: `BatchVerifyResponse.answers` on the wire.
_ANSWER: Final = b"\x0a"


class QuickVerify:
    """Answers a `Verify` whose verdict is in memory; the rest is for the servicer."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._given = parts.metrics.verdicts
        self._now = parts.now

    def __call__(self, sent: bytes) -> bytes | None:
        """The serialised answer to a serialised request, or None: it takes longer, or is an error."""
        try:
            request = VerifyRequest.FromString(sent)
        except DecodeError:
            return None
        if request.fresh:
            return None
        now = self._now()
        known = self._verdicts.known(request.secret, request.at_least_revision, now)
        if known is None:
            return None
        self._given[known.number] += 1
        return convert.known_verdict(known, self._verdicts.applied, now)


class QuickBatchVerify:
    """Answers a `BatchVerify` whose verdicts are all in memory; the rest is for the servicer."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._given = parts.metrics.verdicts
        self._now = parts.now

    def __call__(self, sent: bytes) -> bytes | None:
        """The serialised answer to a serialised request, or None: it takes longer, or is an error."""
        try:
            request = BatchVerifyRequest.FromString(sent)
        except DecodeError:
            return None
        if request.fresh or not 1 <= len(request.secrets) <= limits.BATCH:
            return None
        now, applied = self._now(), self._verdicts.applied
        known = self._verdicts.all_known(request.secrets, request.at_least_revision, now)
        if known is None:
            return None
        told = bytearray()
        for one in known:
            self._given[one.number] += 1
            answer = convert.known_verdict(one, applied, now)
            told += _ANSWER + _varint(len(answer)) + answer
        return bytes(told)


def _varint(number: int) -> bytes:
    # Seven bits a byte, the lowest first; all but the last have the highest bit set.
    if number < 0x80:  # noqa: PLR2004
        return bytes((number,))
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)
