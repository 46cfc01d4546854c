"""Verdicts from memory while the lease lasts, else from the books."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from keyauthority.coherence.cache import Ask
from keyauthority.coherence.entries import digest_of
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verdict, Verification
from keyauthority.domain.verifying import Verifying
from keyauthority.replica.known import KnownCache, KnownVerdict
from keyauthority.replica.metrics import ReplicaMetrics

READS: Final = 3
"""How often the books are read for one question while changes overtake the reading."""


class Verdicts:
    """Answers verifiers.

    Args:
        verifying: Judges by the books.
        cache: The process's own coherent cache.
        alone: Whether no other process can write the books. If some can, nothing is answered
            without a lease: they may have a database by now that this one does not see.
        now: The clock of leases.
        metrics: Where answers from memory are counted.
    """

    def __init__(
        self,
        verifying: Verifying,
        cache: KnownCache,
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

    def known(self, secret: str, at_least_revision: int, now: float) -> KnownVerdict | None:
        """The verdict on *secret* if it can be given from memory at *now*, at that revision or later.

        It is then of the state that `applied` says.
        """
        known = self._find(secret, at_least_revision, now)
        if known is not None:
            self._metrics.hits += 1
        return known

    def all_known(
        self, presented: Sequence[str], at_least_revision: int, now: float
    ) -> list[KnownVerdict] | None:
        """The verdicts on all of *presented*, as `known`; None if one is missing."""
        known = []
        for secret in presented:
            one = self._find(secret, at_least_revision, now)
            if one is None:
                return None
            known.append(one)
        self._metrics.hits += len(known)
        return known

    @property
    def applied(self) -> Head:
        """The state that what is known is of."""
        if (
            self._applied.revision != self._cache.applied
            or self._applied.epoch != self._cache.epoch
        ):
            self._applied = Head(self._cache.epoch, self._cache.applied)
        return self._applied

    async def verify_all(
        self, presented: Sequence[str], at_least_revision: int, *, fresh: bool
    ) -> list[Verification]:
        """Judges each of *presented* as of one moment.

        Raises `KeyAuthorityError`: `REVISION_NOT_REACHED`, `KEYRING_MISMATCH`,
        `STORE_UNAVAILABLE`, `LEASE_LOST`.
        """
        if not fresh:
            now = self._now()
            known = self.all_known(presented, at_least_revision, now)
            if known is not None:
                return [self._told(one, now) for one in known]
        return await self._read(presented, at_least_revision)

    async def _read(self, presented: Sequence[str], at_least_revision: int) -> list[Verification]:
        self._metrics.misses += len(presented)
        for _ in range(READS):
            ask = self._cache.ask(self._now())
            read = await self._verifying.verify_all(presented, at_least_revision)
            head = Head(read[0].epoch, read[0].revision)
            self._check_may_tell(ask, head)
            # What was read before a change and comes after it is read again. If changes are faster
            # than reading, the last one counts: it is right as of a moment after its question.
            if self._alone or not self._is_behind(head):
                break
        if self._cache.stands(ask, head):
            for secret, one in zip(presented, read, strict=True):
                self._keep(ask, secret, one)
        return read

    def _find(self, secret: str, at_least_revision: int, now: float) -> KnownVerdict | None:
        if self._cache.applied < at_least_revision or not self._cache.holds_lease(now):
            return None
        known = self._cache.get(digest_of(secret), now)
        return known if type(known) is KnownVerdict else None

    def _check_may_tell(self, ask: Ask, head: Head) -> None:
        if self._alone:
            return
        if not self._cache.holds_lease(self._now()):
            raise _lease_lost("this process has no lease on its database at the moment")
        # Older than what was applied before the question was sent: no server that is the primary
        # gives that, so the connection leads to one that was it once.
        if (head.epoch, head.revision) < (ask.epoch, ask.applied):
            raise _lease_lost("this process was told the past by its database")

    def _is_behind(self, head: Head) -> bool:
        return (head.epoch, head.revision) < (self._cache.epoch, self._cache.applied)

    def _keep(self, ask: Ask, secret: str, given: Verification) -> None:
        if given.verdict is Verdict.MALFORMED or not given.cache_for:
            # Told as fast without, or not to be kept: noise takes no room from what is asked again.
            return
        until = ask.sent + given.cache_for.total_seconds()
        known = KnownVerdict(given.verdict, given.key, until, key_revoked=given.key_revoked)
        self._cache.keep(ask, digest_of(secret), known, whole_key=given.key_revoked)

    def _told(self, known: KnownVerdict, now: float) -> Verification:
        # A final one holds for as long as any answer.
        left = timedelta(seconds=max(known.until - now, 0.0))
        return Verification(
            known.verdict,
            known.key,
            self._cache.epoch,
            self._cache.applied,
            left,
            key_revoked=known.key_revoked,
        )


def _lease_lost(why: str) -> KeyAuthorityError:
    return KeyAuthorityError(Reason.LEASE_LOST, why)
