"""Taking over keys whose secrets were minted elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import in_entry, invalid, secret_taken
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
"""What the first import changes: from then on a foreign secret may be somebody's."""


@dataclass(frozen=True, slots=True)
class ImportedKey:
    """A key to take over: its foreign secret, and else what a new key has."""

    secret: Secret
    new: NewKey


class Importing:
    """Makes keys of secrets that others have minted."""

    def __init__(self, books: Books, keyring: Keyring) -> None:
        self._books = books
        self._keyring = keyring

    async def import_keys(
        self, actor: Actor, workspace_id: str, imported: Sequence[ImportedKey]
    ) -> tuple[list[Key], Receipt]:
        """Takes over all of them or none; the first time ever, returns when every verifier knows.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `WORKSPACE_SUSPENDED`,
        `SECRET_TAKEN`.
        """
        limits.batch(imported, "keys")

        async def work(change: Change) -> list[Key]:
            # Locked until the end: two imports of one secret come one after the other.
            terms = await change.tx.leases.terms()
            await check_workspace(change.tx, actor, workspace_id)
            keys = await self._take(change, actor, imported)
            if not terms.foreign_secrets:
                await change.tx.leases.put(replace(terms, foreign_secrets=True))
                change.alters(SUBJECT, "", Fact(Action.IMPORTS_BEGUN))
            return keys

        return await self._books.change(actor, work)

    async def _take(
        self, change: Change, actor: Actor, imported: Sequence[ImportedKey]
    ) -> list[Key]:
        tx = change.tx
        _check_secrets(imported)
        await self._check_free(tx, imported)
        version = active(await tx.peppers.all()).version
        keys = []
        for index, one in enumerate(imported):
            with in_entry("keys", index):
                new = one.new.checked(tx.time)
            digest = self._keyring.digest_foreign(version, one.secret.reveal())
            stored = StoredSecret(
                digest, version, one.secret.foreign_hint, tx.time, creator=actor.who
            )
            key_id = secrets.new_id("key")
            stored = sealed_import(self._keyring, key_id, new.workspace_id, stored)
            keys.append(new.key(key_id, stored))
        await tx.keys.insert_imported(keys)
        for key in keys:
            change.records(
                Fact(Action.KEY_IMPORTED, {"name": key.settings.name}), key.id, key.workspace_id
            )
        return keys

    async def _check_free(self, tx: Transaction, imported: Sequence[ImportedKey]) -> None:
        versions = used(await tx.peppers.all())
        digests = [
            [self._keyring.digest_foreign(version, one.secret.reveal()) for version in versions]
            for one in imported
        ]
        taken = await tx.keys.imported(digest for each in digests for digest in each)
        for index, each in enumerate(digests):
            if not taken.isdisjoint(each):
                raise secret_taken(index)


def _check_secrets(imported: Sequence[ImportedKey]) -> None:
    seen: set[str] = set()
    for index, one in enumerate(imported):
        secret = one.secret.reveal()
        with in_entry("keys", index):
            limits.foreign_secret(secret)
            if secret in seen:
                raise invalid("secret", "appears twice")
        seen.add(secret)
