"""Importing keys whose secrets were minted elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import KeyAuthorityError, Reason, in_entry, invalid
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.issuing import NewKey, check_workspace
from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.peppers import active, used
from keyauthority.domain.ports import Keyring
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sealing import sealed_import
from keyauthority.domain.secrets import Secret
from keyauthority.domain.sessions import Receipt

SUBJECT: Final = "imports"
"""The subject of the first import, after which `UNKNOWN` of a foreign secret may be outdated."""


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key to import: its foreign secret, and what every new key has."""

    secret: Secret
    new: NewKey


class Importing:
    """Imports keys."""

    def __init__(self, books: Books, keyring: Keyring) -> None:
        self._books = books
        self._keyring = keyring

    async def import_keys(
        self, actor: Actor, workspace_id: str, imported: Sequence[ImportedKey]
    ) -> tuple[list[Key], Receipt]:
        """Imports all of the keys or none; the first import ever waits for every verifier.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `WORKSPACE_SUSPENDED`,
        `SECRET_TAKEN`.
        """
        limits.batch(imported, "keys")

        async def work(change: Change) -> list[Key]:
            # The lock on the terms puts two imports of the same secret one after the other.
            terms = await change.tx.leases.terms()
            await check_workspace(change.tx, actor, workspace_id)
            keys = await self._import(change, actor, imported)
            if not terms.foreign_secrets:
                await change.tx.leases.put(replace(terms, foreign_secrets=True))
                change.alters(SUBJECT, "", Fact(Action.IMPORTS_BEGUN))
            return keys

        return await self._books.change(actor, work, size=len(imported))

    async def _import(
        self, change: Change, actor: Actor, imported: Sequence[ImportedKey]
    ) -> list[Key]:
        tx = change.tx
        _check_secrets(imported)
        await self._check_free(tx, imported)
        version = active(await tx.peppers.all()).version
        keys = []
        for index, entry in enumerate(imported):
            with in_entry("keys", index):
                new = entry.new.checked(tx.time)
            digest = self._keyring.digest_foreign(version, entry.secret.reveal())
            hint = entry.secret.foreign_hint
            stored = StoredSecret(digest, version, hint, tx.time, creator=actor.who)
            key_id = secrets.new_id("key")
            stored = sealed_import(self._keyring, key_id, new.workspace_id, stored)
            keys.append(new.key(key_id, stored))
        await tx.keys.insert_imported(keys)
        for key in keys:
            fact = Fact(Action.KEY_IMPORTED, {"name": key.settings.name})
            change.records(fact, key.id, key.workspace_id)
        return keys

    async def _check_free(self, tx: Transaction, imported: Sequence[ImportedKey]) -> None:
        versions = used(await tx.peppers.all())
        digests = [
            [self._keyring.digest_foreign(version, entry.secret.reveal()) for version in versions]
            for entry in imported
        ]
        taken = await tx.keys.imported(chain.from_iterable(digests))
        for index, entry_digests in enumerate(digests):
            if not taken.isdisjoint(entry_digests):
                message = f"keys[{index}].secret belongs to a key already"
                raise KeyAuthorityError(Reason.SECRET_TAKEN, message, index=str(index))


def _check_secrets(imported: Sequence[ImportedKey]) -> None:
    earlier: set[str] = set()
    for index, entry in enumerate(imported):
        secret = entry.secret.reveal()
        with in_entry("keys", index):
            limits.foreign_secret(secret)
            if secret in earlier:
                raise invalid("secret", "appears twice")
        earlier.add(secret)
