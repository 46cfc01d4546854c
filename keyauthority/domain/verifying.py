"""May this secret act? The question the authority is asked all day."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain import secrets
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.last_used import LastUsed
from keyauthority.domain.ports import Keyring, Snapshot, Store
from keyauthority.domain.verdicts import Verdict, Verification, VerifiedKey

CACHE_FOR: Final = timedelta(seconds=60)
"""How long any answer holds at most."""

CACHE_UNKNOWN_FOR: Final = timedelta(seconds=2)
"""How long `UNKNOWN` holds: issuing a key is no change that verifiers wait for."""


class Verifying:
    """Judges secrets by the books, one statement a question."""

    def __init__(self, store: Store, keyring: Keyring, last_used: LastUsed) -> None:
        self._store = store
        self._keyring = keyring
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
        key_ids = [secrets.record_id(secret) for secret in presented]
        books = await self._store.snapshot([key_id for key_id in key_ids if key_id])
        if books.head.revision < at_least_revision:
            raise KeyAuthorityError(
                Reason.REVISION_NOT_REACHED,
                f"revision {at_least_revision} is not reached yet",
                revision=str(books.head.revision),
            )
        return [
            self._judge(books, key_id, secret)
            for key_id, secret in zip(key_ids, presented, strict=True)
        ]

    def _judge(self, books: Snapshot, key_id: str | None, secret: str) -> Verification:
        if key_id is None:
            return _answer(books, Verdict.MALFORMED, None, CACHE_FOR)
        key = books.keys.get(key_id)
        match = self._match(key_id, key.secrets if key else (), secret)
        if key is None or match is None:
            return _answer(books, Verdict.UNKNOWN, None, CACHE_UNKNOWN_FOR)
        suspended = key.workspace_id in books.suspended
        verdict = judge(key, match, books.time, suspended=suspended)
        if verdict is Verdict.VALID:
            self._last_used.mark(key.id, match.digest, books.time)
        holds_for = _holds_for(verdict, key, match, books.time)
        return _answer(books, verdict, key, holds_for)

    def _match(
        self, key_id: str, stored: Iterable[StoredSecret], secret: str
    ) -> StoredSecret | None:
        # Each secret is compared, found or not, and an unknown id costs one digest as well: the
        # time taken tells nothing about which keys exist.
        digests: dict[int, bytes] = {}
        found = None
        for one in stored:
            if one.pepper_version not in digests:
                digests[one.pepper_version] = self._keyring.digest(
                    one.pepper_version, key_id, secret
                )
            if hmac.compare_digest(digests[one.pepper_version], one.digest):
                found = one
        if not digests:
            self._keyring.digest(self._keyring.versions()[-1], key_id, secret)
        return found


def judge(key: Key, secret: StoredSecret, now: datetime, *, suspended: bool) -> Verdict:
    """The first verdict that applies to a *secret* that matched one of *key*'s."""
    if key.revocation is not None or secret.ended(now):
        return Verdict.REVOKED
    if key.disabled:
        return Verdict.DISABLED
    if key.expired(now):
        return Verdict.EXPIRED
    return Verdict.WORKSPACE_SUSPENDED if suspended else Verdict.VALID


def _holds_for(verdict: Verdict, key: Key, secret: StoredSecret, now: datetime) -> timedelta:
    # What time alone will change: an unexpired key expires, a retired secret ends. REVOKED is final.
    if verdict is Verdict.REVOKED:
        return CACHE_FOR
    ahead = (end - now for end in (key.expire_time, secret.end_time) if end and end > now)
    return min((CACHE_FOR, *ahead))


def _answer(
    books: Snapshot,
    verdict: Verdict,
    key: Key | None,
    cache_for: timedelta,
) -> Verification:
    verified = None
    if key is not None:
        verified = VerifiedKey(key.id, key.workspace_id, key.name, key.scopes, key.labels)
    return Verification(
        verdict,
        verified,
        books.head.epoch,
        books.head.revision,
        cache_for,
        key_revoked=key is not None and key.revocation is not None,
    )
