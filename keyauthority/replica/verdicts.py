"""Verdicts from memory while the lease lasts, else from the books."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from keyauthority.coherence.cache import Ask
from keyauthority.coherence.entries import digest_of
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.gathering import Gathering
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verdict, Verification
from keyauthority.domain.verifying import Judged, Verifying
from keyauthority.replica.cached import CachedVerdict, ReplicaCache
from keyauthority.replica.metrics import ReplicaMetrics

READS_AT_ONCE: Final = 2
"""Reads of the books under way at a time: questions that come meanwhile share the next one."""

TOGETHER: Final = 128
"""Secrets in one read, at most, unless they are of one question."""

READS: Final = 3
"""How often the books are read for one question while changes overtake the reading."""


class Verdicts:
    """Answers verifiers.

    Args:
        verifying: Judges by the books.
        cache: The process's own coherent cache.
        alone: Whether no other process can write the books. If others can, nothing is answered
            without a lease: there may be a new primary by now that this process does not see.
        now: The clock of leases.
        metrics: Where answers from memory are counted.
    """

    def __init__(
        self,
        verifying: Verifying,
        cache: ReplicaCache,
        *,
        alone: bool,
        now: Callable[[], float],
        metrics: ReplicaMetrics,
    ) -> None:
        self._verifying = verifying
        self._cache = cache
        self._alone = alone
        self._now = now
        self._metrics = metrics
        self._applied = Head(0, 0)
        self._reads: Gathering[Sequence[str], Judged] = Gathering(
            self._read, size=len, most=TOGETHER, at_once=READS_AT_ONCE
        )

    def cached(self, secret: str, at_least_revision: int, now: float) -> CachedVerdict | None:
        """Returns the verdict on *secret* from memory, None if it may not be given at *now*.

        The verdict is of the state `applied`, which is of *at_least_revision* or later.
        """
        cached = self._find(secret, at_least_revision, now)
        if cached is not None:
            self._metrics.hits += 1
        return cached

    def all_cached(
        self, presented: Sequence[str], at_least_revision: int, now: float
    ) -> list[CachedVerdict] | None:
        """Returns the verdicts on all of *presented*, as `cached`; None if one is missing."""
        verdicts = []
        for secret in presented:
            cached = self._find(secret, at_least_revision, now)
            if cached is None:
                return None
            verdicts.append(cached)
        self._metrics.hits += len(verdicts)
        return verdicts

    @property
    def applied(self) -> Head:
        """The state that the verdicts in memory are of."""
        if (
            self._applied.revision != self._cache.applied
            or self._applied.epoch != self._cache.epoch
        ):
            self._applied = Head(self._cache.epoch, self._cache.applied)
        return self._applied

    async def verify_all(
        self, presented: Sequence[str], at_least_revision: int, *, fresh: bool
    ) -> list[Verification]:
        """Judges each of *presented* as of one moment, after the question came.

        What can't be told from memory is read from the books, in one read for all who wait.

        Raises `KeyAuthorityError`: `REVISION_NOT_REACHED`, `KEYRING_MISMATCH`,
        `STORE_UNAVAILABLE`, `LEASE_LOST`.
        """
        if not fresh:
            now = self._now()
            cached = self.all_cached(presented, at_least_revision, now)
            if cached is not None:
                return [self._verification(verdict, now) for verdict in cached]
        self._metrics.misses += len(presented)
        return (await self._reads.do(presented)).verdicts(at_least_revision)

    async def _read(self, questions: Sequence[Sequence[str]]) -> Sequence[Judged]:
        """Judges the secrets of several questions, all of which have come before, by one read."""
        presented = [secret for question in questions for secret in question]
        for _ in range(READS):
            ask = self._cache.ask(self._now())
            judged = await self._verifying.judge_all(presented)
            self._check_may_tell(ask, judged.head)
            # Verdicts that a change overtook are read again. If changes are faster than reading, the
            # last reading counts: it is right as of a moment after its question.
            if judged.head >= self.applied:
                break
        if self._cache.stands(ask, judged.head):
            for secret, answer in zip(presented, judged.answers, strict=True):
                if isinstance(answer, Verification):
                    self._keep(ask, secret, answer)
        return list(judged.parts(map(len, questions)))

    def _find(self, secret: str, at_least_revision: int, now: float) -> CachedVerdict | None:
        cache = self._cache
        if cache.applied < at_least_revision or now >= cache.lease_until:
            return None
        cached = cache.get(digest_of(secret), now)
        return cached if type(cached) is CachedVerdict else None

    def _check_may_tell(self, ask: Ask, head: Head) -> None:
        if self._alone:
            return
        if not self._cache.holds_lease(self._now()):
            raise _lease_lost("this process has no lease on its database at the moment")
        # The primary never answers with a state older than one applied before the question was sent:
        # the connection leads to a former primary.
        if head < Head(ask.epoch, ask.applied):
            raise _lease_lost("this process was told the past by its database")

    def _keep(self, ask: Ask, secret: str, verification: Verification) -> None:
        verdict, key_revoked = verification.verdict, verification.key_revoked
        # A malformed secret is judged as fast without the cache, where it would only take room.
        if verdict is Verdict.MALFORMED or not verification.cache_for:
            return
        until = ask.sent + verification.cache_for.total_seconds()
        cached = CachedVerdict(verdict, verification.key, until, key_revoked=key_revoked)
        self._cache.keep(ask, digest_of(secret), cached, whole_key=key_revoked)

    def _verification(self, cached: CachedVerdict, now: float) -> Verification:
        # A final verdict is given after `until` too.
        left = timedelta(seconds=max(cached.until - now, 0.0))
        return Verification(
            cached.verdict,
            cached.key,
            self._cache.epoch,
            self._cache.applied,
            left,
            key_revoked=cached.key_revoked,
        )


def _lease_lost(why: str) -> KeyAuthorityError:
    return KeyAuthorityError(Reason.LEASE_LOST, why)
