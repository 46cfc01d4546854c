"""Judging presented secrets by the books."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Keyring, Snapshot, Store
from keyauthority.domain.recognising import Presented, Recognising
from keyauthority.domain.sessions import Head
from keyauthority.domain.verdicts import Verdict, Verification, VerifiedKey

CACHE_FOR: Final = timedelta(seconds=60)
"""The longest that any verdict holds."""

CACHE_UNKNOWN_FOR: Final = timedelta(seconds=2)
"""How long `UNKNOWN` holds: no fence waits for verifiers when a key is issued."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Secrets that were judged by one state of the books, `head`.

    `answers` has a verdict on each, or why this keyring can't judge it (`KEYRING_MISMATCH`).
    """

    head: Head
    answers: Sequence[Verification | KeyAuthorityError]

    def verdicts(self, at_least_revision: int) -> list[Verification]:
        """Returns the verdicts. Raises `REVISION_NOT_REACHED`, `KEYRING_MISMATCH`."""
        if self.head.revision < at_least_revision:
            raise KeyAuthorityError(
                Reason.REVISION_NOT_REACHED,
                f"revision {at_least_revision} is not reached yet",
                revision=str(self.head.revision),
            )
        verdicts = []
        for answer in self.answers:
            if isinstance(answer, KeyAuthorityError):
                raise answer
            verdicts.append(answer)
        return verdicts

    def parts(self, lengths: Iterable[int]) -> Iterator[Judged]:
        """Yields the answers in parts of these *lengths*."""
        answers = iter(self.answers)
        for length in lengths:
            yield Judged(self.head, tuple(islice(answers, length)))


class Verifying:
    """Judges secrets, with one statement a call."""

    def __init__(self, store: Store, keyring: Keyring, last_used: LastUsed) -> None:
        self._recognising = Recognising(store, keyring)
        self._last_used = last_used

    async def judge_all(self, secrets: Sequence[str]) -> Judged:
        """Judges *secrets* by one state of the books. Raises `STORE_UNAVAILABLE`."""
        presented = [self._recognising.read(secret) for secret in secrets]
        books = await self._recognising.snapshot(presented)
        return Judged(books.head, [self._answer(books, secret) for secret in presented])

    def _answer(self, books: Snapshot, presented: Presented) -> Verification | KeyAuthorityError:
        # One that can't be judged is no reason to withhold the verdicts on the others.
        try:
            return self._judge(books, presented)
        except KeyAuthorityError as mismatch:
            return mismatch

    def _judge(self, books: Snapshot, presented: Presented) -> Verification:
        if presented.malformed:
            return _verification(books, Verdict.MALFORMED, None, CACHE_FOR)
        owner = self._recognising.owner(books, presented)
        if owner is None:
            # Only the first import waits for verifiers, so a cached `UNKNOWN` could be wrong.
            cache_for = timedelta() if presented.foreign else CACHE_UNKNOWN_FOR
            return _verification(books, Verdict.UNKNOWN, None, cache_for)
        key, match = owner
        suspended = key.workspace_id in books.suspended
        verdict = judge(key, match, books.time, suspended=suspended)
        if verdict is Verdict.VALID:
            self._last_used.mark(key.id, match.digest, books.time)
        return _verification(books, verdict, key, _cache_for(verdict, key, match, books.time))


def judge(key: Key, secret: StoredSecret, now: datetime, *, suspended: bool) -> Verdict:
    """Returns the first verdict that applies to a *secret* of *key*."""
    if key.revocation is not None or secret.ended(now):
        return Verdict.REVOKED
    if key.settings.disabled:
        return Verdict.DISABLED
    if key.expired(now):
        return Verdict.EXPIRED
    return Verdict.WORKSPACE_SUSPENDED if suspended else Verdict.VALID


def _cache_for(verdict: Verdict, key: Key, secret: StoredSecret, now: datetime) -> timedelta:
    # No change announces that a key expires or a rotated secret ends. REVOKED is final.
    if verdict is Verdict.REVOKED:
        return CACHE_FOR
    ends = (key.settings.expire_time, secret.end_time)
    return min((CACHE_FOR, *(end - now for end in ends if end and end > now)))


def _verification(
    books: Snapshot, verdict: Verdict, key: Key | None, cache_for: timedelta
) -> Verification:
    verified = None
    if key is not None:
        settings = key.settings
        verified = VerifiedKey(
            key.id,
            key.workspace_id,
            settings.name,
            settings.scopes,
            settings.labels,
            settings.expire_time,
        )
    return Verification(
        verdict,
        verified,
        books.head.epoch,
        books.head.revision,
        cache_for,
        key_revoked=key is not None and key.revocation is not None,
    )
