"""Finding the key of a presented secret by comparing digests."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keyauthority.domain import secrets
from keyauthority.domain.errors import KeyAuthorityError, Reason, key_not_found
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.ports import Keyring, Snapshot, Store
from keyauthority.domain.sealing import check_import


@dataclass(frozen=True, slots=True)
class Presented:
    """A string that may be a secret.

    A secret of our own names its key. `digests` has the secret's digest for every pepper version in
    the keyring; a malformed string has no digests.
    """

    key_id: str | None
    digests: Mapping[int, bytes] = field(repr=False)

    @property
    def malformed(self) -> bool:
        """Whether no key can have such a secret."""
        return not self.digests

    @property
    def foreign(self) -> bool:
        """Whether the secret may have been minted elsewhere: it names no key."""
        return self.key_id is None and bool(self.digests)


class Recognising:
    """Finds the stored secret that equals a presented one.

    Every secret gets the same digests and the same query: a wrong secret of a key takes as long as a
    secret of no key, so the time reveals nothing about which keys exist.
    """

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    def read(self, secret: str) -> Presented:
        """Parses *secret* and makes its digests."""
        key_id = secrets.record_id(secret)
        keyring, digests = self._keyring, dict[int, bytes]()
        if key_id is not None:
            digests = {
                version: keyring.digest(version, key_id, secret) for version in keyring.versions()
            }
        elif secrets.is_foreign(secret):
            digests = {
                version: keyring.digest_foreign(version, secret) for version in keyring.versions()
            }
        return Presented(key_id, digests)

    async def snapshot(self, presented: Sequence[Presented]) -> Snapshot:
        """Reads what the books have about *presented*, in one statement."""
        key_ids = [secret.key_id for secret in presented if secret.key_id]
        digests = [digest for secret in presented for digest in secret.digests.values()]
        foreign = [
            digest for secret in presented if secret.foreign for digest in secret.digests.values()
        ]
        return await self._store.snapshot(key_ids, foreign, digests)

    def owner(self, books: Snapshot, presented: Presented) -> tuple[Key, StoredSecret] | None:
        """Returns the key and the stored secret that *presented* equals; None if there is none.

        Raises `KeyAuthorityError` with `KEYRING_MISMATCH` if this keyring can't decide that.
        """
        key_id = presented.key_id or self._importer(books, presented)
        key = books.keys.get(key_id) if key_id else None
        match = self.match(key, presented)
        if key is not None and match is not None:
            return key, match
        self._check_newest(books, presented)
        return None

    async def find(self, presented: Presented) -> Key:
        """Returns the key; raises `SECRET_MALFORMED`, `KEY_NOT_FOUND`, and as `owner`."""
        books = await self.snapshot([presented])
        if presented.malformed or (presented.foreign and not books.foreign_secrets):
            raise KeyAuthorityError(
                Reason.SECRET_MALFORMED, "that is not a secret of this authority"
            )
        owner = self.owner(books, presented)
        if owner is None:
            raise key_not_found("")
        return owner[0]

    def match(self, key: Key | None, presented: Presented) -> StoredSecret | None:
        """Returns the secret of *key* that *presented* equals; raises as `owner`."""
        match = _equal(key.secrets if key is not None else (), presented.digests)
        if presented.foreign and key is not None and match is not None:
            check_import(self._keyring, key.id, key.workspace_id, match)
        return match

    def _importer(self, books: Snapshot, presented: Presented) -> str | None:
        for digest in presented.digests.values():
            if digest in books.imports:
                return books.imports[digest]
        return None

    def _check_newest(self, books: Snapshot, presented: Presented) -> None:
        if presented.foreign and not books.foreign_secrets:
            return
        if books.newest_pepper and books.newest_pepper not in presented.digests:
            # The secret may be stored under a pepper that this keyring lacks: this raises.
            self._keyring.fingerprint(books.newest_pepper)


def _equal(
    stored_secrets: Sequence[StoredSecret], digests: Mapping[int, bytes]
) -> StoredSecret | None:
    match = None
    for stored in stored_secrets:  # all of them, so that the time doesn't reveal which one matched
        if hmac.compare_digest(digests.get(stored.pepper_version, b""), stored.digest):
            match = stored
    return match
