"""From a presented secret to the right to act."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from aiohttp import hdrs

from gateway.attempts import Attempts
from gateway.bearer import parse_authorization
from gateway.complaint import Complaint
from gateway.envelope import Refusal
from gateway.metrics import Metrics
from gateway.request import EdgeRequest
from gateway.sources import Source, network_of
from keyauthority.client import (
    Verdict,
    Verification,
    VerificationUnavailable,
    VerifiedKey,
    Verifier,
)

REFUSALS: Final = {
    Verdict.MALFORMED: Refusal.INVALID_KEY,
    Verdict.UNKNOWN: Refusal.INVALID_KEY,
    Verdict.REVOKED: Refusal.INVALID_KEY,
    Verdict.DISABLED: Refusal.INVALID_KEY,
    Verdict.EXPIRED: Refusal.EXPIRED_KEY,
    Verdict.WORKSPACE_SUSPENDED: Refusal.WORKSPACE_SUSPENDED,
}
"""What each verdict but `VALID` is answered."""

_GUESSES: Final = frozenset({Refusal.INVALID_KEY, Refusal.EXPIRED_KEY})


class Grant(NamedTuple):
    """The right of *key* to act, for as long as `holds()` says so."""

    key: VerifiedKey
    holds: Callable[[], bool]


class Authorizer:
    """Finds out whether a request's key may act; whatever goes wrong, it may not.

    Args:
        verifier: Gives the verdicts.
        attempts: The brake on failed attempts.
        source: Whom these are counted against.
        metrics: Where verdicts are counted.
    """

    def __init__(
        self, verifier: Verifier, attempts: Attempts, source: Source, metrics: Metrics
    ) -> None:
        self._verifier = verifier
        self._attempts = attempts
        self._source = source
        self._metrics = metrics
        self._complaint = Complaint("no verdict could be had")

    def from_memory(self, request: EdgeRequest) -> Grant | None:
        """Return the right that the key presented by *request* gives, if no call is needed for it.

        For the one answer that is wanted most, `authorize` is a coroutine too many.
        """
        secret = parse_authorization(request.headers.getall(hdrs.AUTHORIZATION, ()))
        if isinstance(secret, Refusal):
            return None
        known = self._verifier.peek(secret)
        if known is None or known.verdict is not Verdict.VALID or known.key is None:
            return None
        request.key = known.key
        return Grant(known.key, known.holds)

    async def authorize(self, request: EdgeRequest) -> Grant | Refusal:
        """Return the right that the key presented by *request* gives, or why it gives none."""
        secret = parse_authorization(request.headers.getall(hdrs.AUTHORIZATION, ()))
        if isinstance(secret, Refusal):
            return secret
        known = self._verifier.peek(secret)
        if known is not None and known.verdict is Verdict.VALID and known.key is not None:
            # In use, so the brake has no say.
            request.key = known.key
            return Grant(known.key, known.holds)
        source = self._source(request)
        if not (self._attempts.admits(source) or self._verifier.knows(secret)):
            # A neighbour's failures behind the same address lock out no key that is in use.
            return Refusal.RATE_LIMITED
        try:
            verification = await self._ask(secret, source) if known is None else known
        except VerificationUnavailable as outage:
            self._complaint.make(str(outage))
            return Refusal.VERIFICATION_UNAVAILABLE
        request.key = verification.key
        return self._judge(source, verification)

    async def judge_again(self, request: EdgeRequest) -> Refusal | None:
        """Return why the key of *request*, which was accepted, may act no more; None if it may.

        Raises:
            VerificationUnavailable: No verdict could be had.
        """
        secret = parse_authorization(request.headers.getall(hdrs.AUTHORIZATION, ()))
        if isinstance(secret, Refusal):
            return secret
        verification = self._verifier.peek(secret)
        if verification is None:
            verification = await self._verifier.verify(secret)
        if verification.verdict is Verdict.VALID:
            return None
        return REFUSALS.get(verification.verdict, Refusal.VERIFICATION_UNAVAILABLE)

    async def _ask(self, secret: str, source: str | None) -> Verification:
        asked = time.perf_counter()
        verification = await self._verifier.verify(
            secret, source=network_of(source), suspect=self._attempts.suspects(source)
        )
        self._metrics.verify_seconds.observe(time.perf_counter() - asked)
        return verification

    def _judge(self, source: str | None, verification: Verification) -> Grant | Refusal:
        if verification.verdict is Verdict.VALID and verification.key is not None:
            return Grant(verification.key, verification.holds)
        refusal = REFUSALS.get(verification.verdict, Refusal.VERIFICATION_UNAVAILABLE)
        if refusal in _GUESSES:
            self._attempts.refused(source)
        return refusal
