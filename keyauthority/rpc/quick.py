"""Verdicts from memory, answered before anything of a call is set up that they don't need."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from google.protobuf.message import DecodeError, Message

from keyauthority.domain import limits
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verification
from keyauthority.replica.cached import CachedCaller, CachedVerdict
from keyauthority.rpc.call import Context, encode
from keyauthority.rpc.service import Parts, Quick
from keyauthority.rpc.verification import verify_response
from keyauthority.v1.verification_service_pb2 import (
    BatchVerifyRequest,
    VerifyRequest,
    VerifyResponse,
)

# Field 1, delimited by its length: `BatchVerifyResponse.answers` on the wire.
_ANSWER: Final = b"\x0a"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Quickly:
    """How the calls of one method are answered: by `quick` from memory, the others by `otherwise`."""

    quick: Quick
    # The clock of leases.
    now: Callable[[], float]
    # Whether a caller that was in memory still is, at a time by that clock.
    holds: Callable[[CachedCaller, float], bool]
    otherwise: Callable[[bytes, Context], Awaitable[Message | bytes]]
    # Called with the seconds of each call that `quick` answered.
    count_ok: Callable[[float], None]


class QuickHandler:
    """A `grpc.RpcMethodHandler` of one call of *caller*, whose headers found it in memory.

    An answer from memory takes no place, since it is given at once, and no `Actor`, since the audit
    keeps nothing of it.
    """

    __slots__ = ("_caller", "_quickly")
    request_streaming = response_streaming = False
    request_deserializer = response_serializer = None

    def __init__(self, quickly: Quickly, caller: CachedCaller) -> None:
        self._quickly = quickly
        self._caller = caller

    async def unary_unary(self, message: bytes, context: Context) -> bytes:
        """Answers the call, whose message may have come long after its headers."""
        started, quickly = time.perf_counter(), self._quickly
        # gRPC would send an exception's text to the client.
        try:
            now = quickly.now()
            answer = quickly.quick(message, now) if quickly.holds(self._caller, now) else None
        except Exception:
            log.exception("answer_from_memory_failed")
            answer = None
        if answer is not None:
            quickly.count_ok(time.perf_counter() - started)
            return answer
        return encode(await quickly.otherwise(message, context))


class _FromMemory:
    """Answers requests whose verdicts are all in memory; the servicer answers the others.

    A verdict in memory keeps the serialised part of its answer that never changes. The other part is
    filled into one message again and again, which is quicker than making another. Serialised
    messages, one after the other, are one message with the fields of all.
    """

    def __init__(self, parts: Parts) -> None:
        self._verdicts = parts.verdicts
        self._counts = parts.metrics.verdicts
        self._applied: Head | None = None
        self._passing = VerifyResponse()
        self._cache_for = self._passing.cache_for

    def _encode(self, cached: CachedVerdict, now: float) -> bytes:
        applied = self._verdicts.applied
        if applied is not self._applied:
            self._applied = applied
            self._passing.epoch, self._passing.revision = applied.epoch, applied.revision
        nanos = max(int((cached.until - now) * 1e9), 0)
        self._cache_for.seconds, self._cache_for.nanos = divmod(nanos, 1_000_000_000)
        return (cached.encoded or _lasting(cached)) + self._passing.SerializeToString()


def _lasting(cached: CachedVerdict) -> bytes:
    verdict = Verification(cached.verdict, cached.key, 0, 0, timedelta(), cached.key_revoked)
    answer = verify_response(verdict)
    answer.ClearField("cache_for")
    cached.encoded = answer.SerializeToString()
    return cached.encoded


class QuickVerify(_FromMemory):
    """Answers `Verify`."""

    def answer(self, message: bytes, now: float) -> bytes | None:
        """Returns the serialised answer, or None where the servicer has to answer."""
        try:
            request = VerifyRequest.FromString(message)
        except DecodeError:
            return None
        if request.fresh:
            return None
        cached = self._verdicts.cached(request.secret, request.at_least_revision, now)
        if cached is None:
            return None
        self._counts[cached.number] += 1
        return self._encode(cached, now)


class QuickBatchVerify(_FromMemory):
    """Answers `BatchVerify`."""

    def answer(self, message: bytes, now: float) -> bytes | None:
        """Returns the serialised answer, or None where the servicer has to answer."""
        try:
            request = BatchVerifyRequest.FromString(message)
        except DecodeError:
            return None
        if request.fresh or not 1 <= len(request.secrets) <= limits.BATCH:
            return None
        verdicts = self._verdicts.all_cached(request.secrets, request.at_least_revision, now)
        if verdicts is None:
            return None
        response = bytearray()
        for cached in verdicts:
            self._counts[cached.number] += 1
            answer = self._encode(cached, now)
            response += _ANSWER + _varint(len(answer)) + answer
        return bytes(response)


def _varint(number: int) -> bytes:
    # Seven bits a byte, the lowest first; all but the last have the highest bit set.
    if number < 0x80:  # noqa: PLR2004
        return bytes((number,))
    return bytes((number & 0x7F | 0x80,)) + _varint(number >> 7)
