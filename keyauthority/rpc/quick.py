"""Verdicts from memory, answered before anything of a call is set up that they don't need."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError, Message

from keyauthority.domain import limits
from keyauthority.domain.answering import KnownCaller
from keyauthority.rpc import convert
from keyauthority.rpc.call import Context
from keyauthority.rpc.parts import Parts
from keyauthority.rpc.service import Quick
from keyauthority.v1.verification_service_pb2 import BatchVerifyRequest, VerifyRequest

# Field 1, delimited by its length: `BatchVerifyResponse.answers` on the wire.
_ANSWER: Final = b"\x0a"


@dataclass(frozen=True, slots=True)
class Quickly:
    """How calls of one method are answered from memory, and *otherwise*."""

    quick: Quick
    # Whether a caller that was known from memory still is.
    holds: Callable[[KnownCaller], bool]
    otherwise: Callable[[bytes, Context], Awaitable[Message]]
    # Called with the seconds of each call that was answered.
    count_ok: Callable[[float], None]


class QuickHandler:
    """A `grpc.RpcMethodHandler` of one call of *caller*, who was known from memory by its headers.

    What is answered so takes no place, since it is over at once, and nobody's name, since whoever
    is told a verdict does nothing that the audit keeps.
    """

    __slots__ = ("_caller", "_quickly")
    request_streaming = response_streaming = False
    request_deserializer = response_serializer = None

    def __init__(self, quickly: Quickly, caller: KnownCaller) -> None:
        self._quickly = quickly
        self._caller = caller

    async def unary_unary(self, sent: bytes, context: Context) -> bytes:
        """Answers the call; its message may have come long after its headers."""
        started, quickly = time.perf_counter(), self._quickly
        if quickly.holds(self._caller):
            answer = quickly.quick(sent)
            if answer is not None:
                quickly.count_ok(time.perf_counter() - started)
                return answer
        response = await quickly.otherwise(sent, context)
        return response.SerializeToString()


class QuickVerify:
    """Answers a `Verify` whose verdict is in memory; the rest is for the servicer."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._given = parts.metrics.verdicts
        self._now = parts.now
        self._encode = convert.KnownVerdicts(parts.verdicts).encode

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
        return self._encode(known, now)


class QuickBatchVerify:
    """Answers a `BatchVerify` whose verdicts are all in memory; the rest is for the servicer."""

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._given = parts.metrics.verdicts
        self._now = parts.now
        self._encode = convert.KnownVerdicts(parts.verdicts).encode

    def __call__(self, sent: bytes) -> bytes | None:
        """The serialised answer to a serialised request, or None: it takes longer, or is an error."""
        try:
            request = BatchVerifyRequest.FromString(sent)
        except DecodeError:
            return None
        if request.fresh or not 1 <= len(request.secrets) <= limits.BATCH:
            return None
        now = self._now()
        known = self._verdicts.all_known(request.secrets, request.at_least_revision, now)
        if known is None:
            return None
        told = bytearray()
        for one in known:
            self._given[one.number] += 1
            answer = self._encode(one, now)
            told += _ANSWER + _varint(len(answer)) + answer
        return bytes(told)


def _varint(number: int) -> bytes:
    # Seven bits a byte, the lowest first; all but the last have the highest bit set.
    if number < 0x80:  # noqa: PLR2004
        return bytes((number,))
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)
