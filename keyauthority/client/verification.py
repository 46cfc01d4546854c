"""One verdict on one presented secret, from a call or without one."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import UTC
from typing import Final, Self

from keyauthority.base.process.clocks import boottime
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.domain import secrets
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.v1.verification_service_pb2 import VerifyResponse

DIRECT_HOLDS: Final = 3.0
"""Seconds in which a verdict may be acted upon without a lease, from the sending of the question."""


class VerificationUnavailable(Exception):  # noqa: N818 - it says what the caller lacks
    """There is no verdict, which says nothing about the secret.

    The authority is unreachable, too slow or overloaded, refused this verifier's own token, or gave
    a verdict that only newer versions know. The message is a reason for the operator's log.
    """


class Verification(Cached):
    """One verdict on one presented secret. `key` is set if the secret is a key's, whatever the verdict."""

    __slots__ = ("_cache", "_direct_until", "_now", "key", "verdict")

    def __init__(
        self,
        verdict: Verdict,
        key: VerifiedKey | None,
        until: float = math.inf,
        *,
        cache: CoherentCache[Verification] | None = None,
        direct_until: float = math.inf,
        now: Callable[[], float] = boottime,
    ) -> None:
        key_id, workspace_id = (key.id, key.workspace_id) if key else ("", "")
        super().__init__(key_id, workspace_id, until, final=verdict is Verdict.REVOKED)
        self.verdict = verdict
        self.key = key
        self._cache = cache
        self._direct_until = direct_until
        self._now = now

    def __repr__(self) -> str:
        return f"Verification({self.verdict}, {self.key})"

    def renewed(self, by: Self) -> bool:
        if (by.verdict, by.key) != (self.verdict, self.key):
            return False
        self.until, self._direct_until = by.until, by._direct_until
        return True

    def holds(self) -> bool:
        """Returns whether the verdict may still be acted upon. Makes no call.

        Ask right before acting, if anything was waited for since `verify` returned. If the verdict
        holds no more, verify again: the key changed, or a change would not reach this verifier.
        """
        now = self._now()
        if not self.alive or now >= self.until:
            return False
        leased = self._cache is not None and self._cache.holds_lease(now)
        return leased or now < self._direct_until


def read(
    reply: VerifyResponse,
    sent: float,
    now: Callable[[], float],
    cache: CoherentCache[Verification] | None = None,
) -> Verification:
    """Returns the verification in *reply*, whose call was sent at *sent* by the clock *now*.

    With a *cache* it holds while the cache has a lease. Raises `VerificationUnavailable` for a verdict
    that only newer versions know.
    """
    try:
        verdict = Verdict(reply.verdict)
    except ValueError:
        raise VerificationUnavailable(f"unknown verdict {reply.verdict}") from None
    key = _read_key(reply) if reply.HasField("key") else None
    if verdict is Verdict.VALID and key is None:
        raise VerificationUnavailable("a valid verdict without a key")
    # Counts from the sending: the answer was true at some moment after it.
    until = sent + reply.cache_for.seconds + reply.cache_for.nanos / 1e9
    return Verification(verdict, key, until, cache=cache, direct_until=sent + DIRECT_HOLDS, now=now)


def _read_key(reply: VerifyResponse) -> VerifiedKey:
    # Many keys share workspaces and scopes: memory holds each text once.
    key = reply.key
    return VerifiedKey(
        key.id,
        sys.intern(key.workspace_id),
        key.name,
        tuple(map(sys.intern, key.scopes)),
        dict(key.labels),
        key.expire_time.ToDatetime(UTC) if key.HasField("expire_time") else None,
    )


MALFORMED: Final = Verification(Verdict.MALFORMED, None)
"""The verdict on noise."""


def is_native(secret: str) -> bool:
    """Returns whether *secret* begins like those that the authority mints."""
    return secret.startswith(secrets.KEY_PREFIX)


def is_noise(secret: str) -> bool:
    """Returns whether *secret* is refused without a call.

    Noise is our own prefix with a wrong shape or checksum, and what no imported secret may look like.
    """
    if is_native(secret):
        return secrets.record_id(secret) is None
    return not secrets.is_foreign(secret)
