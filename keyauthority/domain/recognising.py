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

    One of our own names its key. `digests` has its digest by every pepper version at hand, to be
    looked for by; without any it is malformed.
    """

    secret: str = field(repr=False)
    key_id: str | None
    digests: Mapping[int, bytes] = field(repr=False)

    @property
    def malformed(self) -> bool:
        """Whether no key can have this secret."""
        return not self.digests

    @property
    def foreign(self) -> bool:
        """Whether it may have been minted elsewhere: it names no key."""
        return self.key_id is None and bool(self.digests)


class Recognising:
    """Finds the stored secret that a presented one is, by its digest.

    The same digests are made of each, and looked for in the same way: a wrong secret of a key takes
    as long as one of no key, so the time taken tells nothing about which keys exist.
    """

    def __init__(self, store: Store, keyring: Keyring) -> None:
        self._store = store
        self._keyring = keyring

    def read(self, secret: str) -> Presented:
        """What *secret* claims to be."""
        key_id = secrets.record_id(secret)
        digests: dict[int, bytes] = {}
        if key_id is not None:
            digest = self._keyring.digest
            digests = {one: digest(one, key_id, secret) for one in self._keyring.versions()}
        elif secrets.is_foreign(secret):
            foreign = self._keyring.digest_foreign
            digests = {one: foreign(one, secret) for one in self._keyring.versions()}
        return Presented(secret, key_id, digests)

    async def snapshot(self, presented: Sequence[Presented]) -> Snapshot:
        """The books, as far as they are about *presented*, in one statement."""
        key_ids = [one.key_id for one in presented if one.key_id]
        digests = [digest for one in presented for digest in one.digests.values()]
        foreign = [digest for one in presented if one.foreign for digest in one.digests.values()]
        return await self._store.snapshot(key_ids, foreign, digests)

    def owner(self, books: Snapshot, presented: Presented) -> tuple[Key, StoredSecret] | None:
        """The key and which of its secrets it is, None if *books* know neither.

        Raises `KeyAuthorityError` with `KEYRING_MISMATCH` if that can't be told.
        """
        key_id = presented.key_id or self._importer(books, presented)
        key = books.keys.get(key_id) if key_id else None
        match = self.match(key, presented)
        if key is not None and match is not None:
            return key, match
        self._check_newest(books, presented)
        return None

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
        found = _compared(key.secrets if key is not None else (), presented.digests)
        if presented.foreign and key is not None and found is not None:
            check_import(self._keyring, key.id, key.workspace_id, found)
        return found

    def _importer(self, books: Snapshot, presented: Presented) -> str | None:
        for digest in presented.digests.values():
            if digest in books.imports:
                return books.imports[digest]
        return None

    def _check_newest(self, books: Snapshot, presented: Presented) -> None:
        if presented.foreign and not books.foreign_secrets:
            return
        if books.newest_pepper and books.newest_pepper not in presented.digests:
            # It may be kept under a pepper that only other processes hold: this raises.
            self._keyring.fingerprint(books.newest_pepper)


def _compared(stored: Sequence[StoredSecret], digests: Mapping[int, bytes]) -> StoredSecret | None:
    found = None
    for one in stored:
        if hmac.compare_digest(digests.get(one.pepper_version, b""), one.digest):
            found = one
    return found
