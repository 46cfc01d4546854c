"""Asking the authority whether a secret may act."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import grpc

from keyauthority.client.channel import connect
from keyauthority.client.credentials import bearer_metadata
from keyauthority.domain import secrets
from keyauthority.domain.secrets import Secret
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.v1.verification_service_pb2 import VerifyRequest, VerifyResponse
from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceStub

if TYPE_CHECKING:
    from keyauthority.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

MAX_CALLS: Final = 64
"""Calls under way at a time; the next one is told at once that no verdict can be had."""

# A clock that also counts while the machine sleeps (on macOS the monotonic one does).
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class VerificationUnavailable(Exception):  # noqa: N818 - named for what it tells the caller
    """No verdict could be had, which says nothing about the secret.

    The authority is unreachable, too slow, overloaded, refused this verifier's own token, or
    answered what this version does not know. The message is a reason for the operator's log.
    """


@dataclass(frozen=True, slots=True)
class Verification:
    """One verdict on one presented secret.

    `key` is set whenever the secret matched one, whatever the verdict.
    """

    verdict: Verdict
    key: VerifiedKey | None
    good_until: float

    def holds(self) -> bool:
        """Tell whether the verdict still stands, by the time that has passed since it was asked."""
        return _now() < self.good_until


_MALFORMED: Final = Verification(Verdict.MALFORMED, None, math.inf)


class Verifier:
    """Verifies secrets against the authority; an async context manager.

    Every call asks the authority afresh, so a verdict is as true as its answer.

    Args:
        address: Where the authority listens, `HOST:PORT` or `unix:PATH`.
        token: A service token with the role `verifier`.
        tls_ca: PEM file of the authority's certificate authority; None is plaintext, which only
            loopback and Unix sockets allow.
        timeout: Seconds after which a call counts as failed.
    """

    def __init__(
        self, address: str, *, token: Secret, tls_ca: Path | None = None, timeout: float = 0.5
    ) -> None:
        self._address = address
        self._tls_ca = tls_ca
        self._metadata = bearer_metadata(token)
        self._timeout = timeout
        self._calls = 0

    async def __aenter__(self) -> Self:
        self._channel = connect(self._address, tls_ca=self._tls_ca)
        self._stub: VerificationServiceAsyncStub = VerificationServiceStub(self._channel)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._channel.close()

    async def verify(self, secret: str) -> Verification:
        """Return the verdict on *secret*, as it was presented.

        Raises:
            VerificationUnavailable: No verdict could be had. Refuse to decide: neither accept the
                request nor tell the presenter that the key is bad.
        """
        if _is_noise(secret):
            return _MALFORMED
        sent = _now()
        return _read(await self._ask(secret), sent)

    async def probe(self) -> None:
        """Return if the authority answers this verifier from its books, as for a real secret.

        Raises:
            VerificationUnavailable: It does not.
        """
        # Beside the places: being busy is not being unready.
        await self._call(secrets.mint(secrets.new_id("key")).reveal())

    async def _ask(self, secret: str) -> VerifyResponse:
        if self._calls >= MAX_CALLS:
            raise VerificationUnavailable("too many calls under way")
        self._calls += 1
        try:
            return await self._call(secret)
        finally:
            self._calls -= 1

    async def _call(self, secret: str) -> VerifyResponse:
        try:
            return await self._stub.Verify(
                VerifyRequest(secret=secret, fresh=True),
                timeout=self._timeout,
                metadata=self._metadata,
            )
        except grpc.RpcError as error:
            raise VerificationUnavailable(_status_name(error)) from None
        except grpc.aio.BaseError as error:
            raise VerificationUnavailable(type(error).__name__) from None


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _is_noise(secret: str) -> bool:
    # Refused without a call: our own prefix with a wrong shape or checksum, and what no imported
    # secret may look like. Anything else is the authority's to judge.
    if secret.startswith(secrets.KEY_PREFIX):
        return secrets.record_id(secret) is None
    return not secrets.is_foreign(secret)


def _read(reply: VerifyResponse, sent: float) -> Verification:
    try:
        verdict = Verdict(reply.verdict)
    except ValueError:
        raise VerificationUnavailable(f"unknown verdict {reply.verdict}") from None
    key = _read_key(reply) if reply.HasField("key") else None
    if verdict is Verdict.VALID and key is None:
        raise VerificationUnavailable("a valid verdict without a key")
    # From the sending on: the answer was true at some moment after it.
    cache_for = reply.cache_for.seconds + reply.cache_for.nanos / 1e9
    return Verification(verdict, key, sent + cache_for)


def _read_key(reply: VerifyResponse) -> VerifiedKey:
    key = reply.key
    return VerifiedKey(key.id, key.workspace_id, key.name, tuple(key.scopes), dict(key.labels))


def _status_name(error: grpc.RpcError) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
