"""One verdict on one presented secret, as a verifier gives it, and what is told without a call."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Final, Self

from keyauthority.base.process.clocks import boottime
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.domain import secrets
from keyauthority.domain.verdicts import Verdict, VerifiedKey
from keyauthority.v1.verification_service_pb2 import VerifyResponse

DIRECT_HOLDS: Final = 3.0
"""Seconds that a verdict may be acted upon without a lease, from when it was asked for."""


class VerificationUnavailable(Exception):  # noqa: N818 - named for what it tells the caller
    """No verdict could be had, which says nothing about the secret.

    The authority is unreachable, too slow, overloaded, refused this verifier's own token, or
    answered what this version does not know. The message is a reason for the operator's log.
    """


class Verification(Cached):
    """One verdict on one presented secret.

    `verdict` is the verdict; `key` is set whenever the secret matched one, whatever the verdict.
    """

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
        """Tell, without a call, whether the verdict may still be acted upon.

        Ask right before acting, if anything was waited for since `verify` returned. If not, verify
        again: the key changed, or nobody would tell this verifier if it did.
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
    """The verification that *reply* gives, for *cache* if there is one.

    The call was sent at *sent*, by the clock *now*.

    Raises:
        VerificationUnavailable: It is none that this version knows.
    """
    try:
        verdict = Verdict(reply.verdict)
    except ValueError:
        raise VerificationUnavailable(f"unknown verdict {reply.verdict}") from None
    key = _read_key(reply) if reply.HasField("key") else None
    if verdict is Verdict.VALID and key is None:
        raise VerificationUnavailable("a valid verdict without a key")
    # From the sending on: the answer was true at some moment after it.
    until = sent + reply.cache_for.seconds + reply.cache_for.nanos / 1e9
    return Verification(verdict, key, until, cache=cache, direct_until=sent + DIRECT_HOLDS, now=now)


def _read_key(reply: VerifyResponse) -> VerifiedKey:
    # Workspaces and scopes are those of many keys: each is kept once.
    key = reply.key
    return VerifiedKey(
        key.id,
        sys.intern(key.workspace_id),
        key.name,
        tuple(map(sys.intern, key.scopes)),
        dict(key.labels),
    )


MALFORMED: Final = Verification(Verdict.MALFORMED, None)
"""The verdict on noise."""


def is_native(secret: str) -> bool:
    """Tell whether *secret* begins like those that the authority mints."""
    return secret.startswith(secrets.KEY_PREFIX)


def is_noise(secret: str) -> bool:
    """Tell whether *secret* is refused without a call.

    That is our own prefix with a wrong shape or checksum, and what no imported secret may look
    like. Anything else is the authority's to judge.
    """
    if is_native(secret):
        return secrets.record_id(secret) is None
    return not secrets.is_foreign(secret)
