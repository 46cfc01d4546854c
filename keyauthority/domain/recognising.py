"""Whose secret is this? What somebody presented, compared with what is stored."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keyauthority.domain import secrets
from keyauthority.domain.errors import key_not_found, secret_malformed
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.ports import Keyring, Snapshot, Store
from keyauthority.domain.sealing import check_import


@dataclass(frozen=True, slots=True)
class Presented:
    """A string that claims to be a secret.

    One of our own names its key. A foreign one has its digest by every pepper version at hand, to be
    looked for by. What has neither is malformed.
    """

    secret: str = field(repr=False)
    key_id: str | None
    foreign: Mapping[int, bytes] = field(repr=False)

    @property
    def malformed(self) -> bool:
        """Whether no key can have this secret."""
        return self.key_id is None and not self.foreign


class Recognising:
    """Finds the stored secret that a presented one is.

    Each stored one is compared, found or not, and what is unknown costs as many digests as what is
    known: the time taken tells nothing about which keys exist.
    """

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    def read(self, secret: str) -> Presented:
        """What *secret* claims to be."""
        key_id = secrets.record_id(secret)
        foreign: dict[int, bytes] = {}
        if key_id is None and secrets.is_foreign(secret):
            versions = self._keyring.versions()
            foreign = {one: self._keyring.digest_foreign(one, secret) for one in versions}
        return Presented(secret, key_id, foreign)

    async def snapshot(self, presented: Sequence[Presented]) -> Snapshot:
        """The books, as far as they are about *presented*, in one statement."""
        key_ids = [one.key_id for one in presented if one.key_id]
        digests = [digest for one in presented for digest in one.foreign.values()]
        return await self._store.snapshot(key_ids, digests)

    def owner(self, books: Snapshot, presented: Presented) -> tuple[Key, StoredSecret] | None:
        """The key and which of its secrets it is, None if *books* know neither.

        Raises `KeyAuthorityError` with `KEYRING_MISMATCH` if that can't be told.
        """
        key_id = presented.key_id or self._importer(books, presented)
        key = books.keys.get(key_id) if key_id else None
        match = self.match(key, presented)
        return (key, match) if key is not None and match is not None else None

    async def find(self, presented: Presented) -> Key:
        """The key; raises `SECRET_MALFORMED`, `KEY_NOT_FOUND`, and as `owner`."""
        books = await self.snapshot([presented])
        if presented.malformed or (presented.foreign and not books.foreign_secrets):
            raise secret_malformed()
        owner = self.owner(books, presented)
        if owner is None:
            raise key_not_found("")
        return owner[0]

    def match(self, key: Key | None, presented: Presented) -> StoredSecret | None:
        """Which of the *key*'s secrets it is; raises as `owner`."""
        stored = key.secrets if key is not None else ()
        if presented.key_id is None:
            imported = _compared(stored, presented.foreign)
            if key is not None and imported is not None:
                check_import(self._keyring, key.id, key.workspace_id, imported)
            return imported
        versions = {one.pepper_version for one in stored} or {self._keyring.versions()[-1]}
        digest, key_id, secret = self._keyring.digest, presented.key_id, presented.secret
        return _compared(stored, {one: digest(one, key_id, secret) for one in versions})

    def _importer(self, books: Snapshot, presented: Presented) -> str | None:
        for digest in presented.foreign.values():
            if digest in books.imports:
                return books.imports[digest]
        if books.foreign_secrets and books.newest_pepper not in presented.foreign:
            # It may have been imported under a pepper that only other processes hold: this raises.
            self._keyring.digest_foreign(books.newest_pepper, presented.secret)
        return None


def _compared(stored: Sequence[StoredSecret], digests: Mapping[int, bytes]) -> StoredSecret | None:
    found = None
    for one in stored:
        if hmac.compare_digest(digests.get(one.pepper_version, b""), one.digest):
            found = one
    return found
