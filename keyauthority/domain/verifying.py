"""May this secret act? The question the authority is asked all day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Keyring, Snapshot, Store
from keyauthority.domain.recognising import Presented, Recognising
from keyauthority.domain.verdicts import Verdict, Verification, VerifiedKey

CACHE_FOR: Final = timedelta(seconds=60)
"""How long any answer holds at most."""

CACHE_UNKNOWN_FOR: Final = timedelta(seconds=2)
"""How long `UNKNOWN` holds: issuing a key is no change that verifiers wait for."""


class Verifying:
    """Judges secrets by the books, one statement a question."""

    def __init__(self, store: Store, keyring: Keyring, last_used: LastUsed) -> None:
        self._recognising = Recognising(store, keyring)
        self._last_used = last_used

    async def verify(self, secret: str, at_least_revision: int = 0) -> Verification:
        """Judges *secret*.

        Raises `KeyAuthorityError` with `REVISION_NOT_REACHED`, `KEYRING_MISMATCH` or
        `STORE_UNAVAILABLE`; none of them says anything about the secret.
        """
        return (await self.verify_all((secret,), at_least_revision))[0]

    async def verify_all(
        self, presented: Sequence[str], at_least_revision: int = 0
    ) -> list[Verification]:
        """Judges each of *presented* as of one moment; raises as `verify`."""
        asked = [self._recognising.read(secret) for secret in presented]
        books = await self._recognising.snapshot(asked)
        if books.head.revision < at_least_revision:
            raise KeyAuthorityError(
                Reason.REVISION_NOT_REACHED,
                f"revision {at_least_revision} is not reached yet",
                revision=str(books.head.revision),
            )
        return [self._judge(books, one) for one in asked]

    def _judge(self, books: Snapshot, presented: Presented) -> Verification:
        if presented.malformed:
            return _answer(books, Verdict.MALFORMED, None, CACHE_FOR)
        owner = self._recognising.owner(books, presented)
        if owner is None:
            # Verifiers wait for no import but the first.
            cache_for = timedelta() if presented.foreign else CACHE_UNKNOWN_FOR
            return _answer(books, Verdict.UNKNOWN, None, cache_for)
        key, match = owner
        suspended = key.workspace_id in books.suspended
        verdict = judge(key, match, books.time, suspended=suspended)
        if verdict is Verdict.VALID:
            self._last_used.mark(key.id, match.digest, books.time)
        holds_for = _holds_for(verdict, key, match, books.time)
        return _answer(books, verdict, key, holds_for)


def judge(key: Key, secret: StoredSecret, now: datetime, *, suspended: bool) -> Verdict:
    """The first verdict that applies to a *secret* that matched one of *key*'s."""
    if key.revocation is not None or secret.ended(now):
        return Verdict.REVOKED
    if key.settings.disabled:
        return Verdict.DISABLED
    if key.expired(now):
        return Verdict.EXPIRED
    return Verdict.WORKSPACE_SUSPENDED if suspended else Verdict.VALID


def _holds_for(verdict: Verdict, key: Key, secret: StoredSecret, now: datetime) -> timedelta:
    # What time alone will change: an unexpired key expires, a retired secret ends. REVOKED is final.
    if verdict is Verdict.REVOKED:
        return CACHE_FOR
    ahead = (end - now for end in (key.settings.expire_time, secret.end_time) if end and end > now)
    return min((CACHE_FOR, *ahead))


def _answer(
    books: Snapshot,
    verdict: Verdict,
    key: Key | None,
    cache_for: timedelta,
) -> Verification:
    verified = None
    if key is not None:
        settings = key.settings
        verified = VerifiedKey(
            key.id, key.workspace_id, settings.name, settings.scopes, settings.labels
        )
    return Verification(
        verdict,
        verified,
        books.head.epoch,
        books.head.revision,
        cache_for,
        key_revoked=key is not None and key.revocation is not None,
    )
