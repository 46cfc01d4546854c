"""From a presented secret to the right to act."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.bearer import Presented
from gateway.key_headers import KeyHeaders
from gateway.observe import Complaint, Metrics
from gateway.request import EdgeRequest, Grant
from gateway.sources import Attempts, Source
from keyauthority.base.http.addresses import network
from keyauthority.client import Verdict, Verification, VerificationUnavailable, Verifier
from keyauthority.edge.envelope import REFUSALS, Refusal

_GUESSES: Final = frozenset({Refusal.INVALID_KEY, Refusal.EXPIRED_KEY})

# Probes come from several sides; one question a second is enough for all of them.
_PROBE_INTERVAL: Final = 1.0


class Authorizer:
    """Finds out whether a request's key may act; whatever goes wrong, it may not.

    Failed *attempts* are counted against the address that *source* finds. The key may be in one of the
    *key_headers* instead of `Authorization`.
    """

    def __init__(
        self,
        verifier: Verifier,
        attempts: Attempts,
        source: Source,
        metrics: Metrics,
        key_headers: KeyHeaders,
    ) -> None:
        self._verifier = verifier
        self._attempts = attempts
        self._source = source
        self._metrics = metrics
        self.key_headers = key_headers
        self._complaint = Complaint("verification_unavailable")

    def from_memory(self, request: EdgeRequest) -> Grant | Refusal | None:
        """Returns what the key of *request* gets; None if only the authority knows.

        A coroutine would cost too much for the most frequent answer.
        """
        presented = request.presented
        if presented is None:
            presented = self.key_headers.read(request.headers)
            if presented is None:
                return Refusal.MISSING_AUTH
            request.presented = presented
        verification = self._verifier.peek(presented.secret, presented.digest)
        if verification is None:
            return None
        if verification.verdict is Verdict.VALID and verification.key is not None:
            # The key is in use: failed attempts of others do not lock it out.
            request.key = verification.key
            return Grant(verification.key, verification.holds)
        source = self._source(request)
        return self._brake(presented, source) or self._judge(request, source, verification)

    async def from_authority(self, request: EdgeRequest) -> Grant | Refusal:
        """Returns what the key of *request* gets, for which `from_memory` returned None."""
        presented, source = request.presented, self._source(request)
        if presented is None:
            return Refusal.MISSING_AUTH
        refusal = self._brake(presented, source)
        if refusal is not None:
            return refusal
        start = time.perf_counter()
        try:
            verification = await self._verifier.verify(
                presented.secret,
                source=network(source or ""),
                suspect=self._attempts.suspects(source),
                digest=presented.digest,
            )
        except VerificationUnavailable as outage:
            self._complaint.log(str(outage))
            return Refusal.VERIFICATION_UNAVAILABLE
        self._metrics.verify_seconds.observe(time.perf_counter() - start)
        return self._judge(request, source, verification)

    async def judge_again(self, request: EdgeRequest) -> Refusal | None:
        """Returns why the key of *request*, which was accepted, may act no more; None if it may.

        The request then has what is now known of the key, such as when it expires.

        Raises:
            VerificationUnavailable: No verdict could be had.
        """
        presented = request.presented
        if presented is None:
            return Refusal.MISSING_AUTH
        verification = self._verifier.peek(presented.secret, presented.digest)
        if verification is None:
            verification = await self._verifier.verify(presented.secret, digest=presented.digest)
        refusal = _refusal_of(verification)
        if refusal is None:
            request.key = verification.key
            request.on_new_key()
        return refusal

    def _brake(self, presented: Presented, source: str | None) -> Refusal | None:
        # A neighbour's failures behind the same address lock out no key that is in use.
        admitted = self._attempts.admits(source) or self._verifier.knows(
            presented.secret, presented.digest
        )
        return None if admitted else Refusal.RATE_LIMITED

    def _judge(
        self, request: EdgeRequest, source: str | None, verification: Verification
    ) -> Grant | Refusal:
        key = request.key = verification.key
        refusal = _refusal_of(verification)
        if refusal is None and key is not None:
            return Grant(key, verification.holds)
        if refusal in _GUESSES:
            self._attempts.refused(source)
        return refusal or Refusal.VERIFICATION_UNAVAILABLE


def _refusal_of(verification: Verification) -> Refusal | None:
    # A verdict that is not in the table lets nobody in, and calls no key bad.
    if verification.verdict is Verdict.VALID and verification.key is not None:
        return None
    return REFUSALS.get(verification.verdict, Refusal.VERIFICATION_UNAVAILABLE)


class Readiness:
    """Asks the authority on behalf of `/readyz`, at most once a second by *clock*."""

    def __init__(self, verifier: Verifier, clock: Callable[[], float] = time.monotonic) -> None:
        self._verifier = verifier
        self._clock = clock
        self._lock = asyncio.Lock()
        self._probed_at = -_PROBE_INTERVAL
        self._ready = False

    async def ready(self) -> bool:
        """Returns whether the authority gives verdicts."""
        async with self._lock:
            if self._clock() - self._probed_at >= _PROBE_INTERVAL:
                try:
                    await self._verifier.probe()
                    self._ready = True
                except VerificationUnavailable:
                    self._ready = False
                self._probed_at = self._clock()
            return self._ready
