"""The keys."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from keyauthority.base.relational.columns import ascii_lower
from keyauthority.domain.keys import Key
from keyauthority.domain.repositories import Cursor, KeyFilter, Unsealed
from keyauthority.storage.memory.books import Repository, newest


class MemoryKeys(Repository):
    """`Keys` within one transaction."""

    async def get(self, key_ids: Iterable[str]) -> dict[str, Key]:
        keys = self._books.keys
        return {key_id: keys[key_id] for key_id in key_ids if key_id in keys}

    async def homes(self, key_ids: Collection[str]) -> dict[str, str]:
        return {key_id: key.workspace_id for key_id, key in (await self.get(key_ids)).items()}

    async def page(self, which: KeyFilter, limit: int, after: Cursor | None) -> list[Key]:
        matching = (key for key in self._books.keys.values() if self._matches(which, key))
        return newest(matching, limit, after)

    async def insert(self, key: Key) -> None:
        self._books.keys[key.id] = key

    async def insert_imported(self, imported: Sequence[Key]) -> None:
        self._books.keys.update((key.id, key) for key in imported)
        self._books.imports.update(
            (secret.digest, key.id) for key in imported for secret in key.secrets
        )

    async def imported(self, digests: Iterable[bytes]) -> set[bytes]:
        return {digest for digest in digests if digest in self._books.imports}

    async def never_sealed(self, limit: int, after: bytes) -> list[Unsealed]:
        unsealed = []
        for digest, key_id in sorted(self._books.imports.items()):
            key = self._books.keys[key_id]
            unsealed += [
                Unsealed(key_id, key.workspace_id, secret)
                for secret in key.secrets
                if secret.digest == digest > after and secret.seal is None
            ]
        return unsealed[:limit]

    async def seal(self, sealed: Sequence[Unsealed]) -> None:
        for entry in sealed:
            key = self._books.keys[entry.key_id]
            secrets = tuple(
                entry.secret if secret.digest == entry.secret.digest else secret
                for secret in key.secrets
            )
            self._books.keys[key.id] = replace(key, secrets=secrets)

    async def update(self, changes: Sequence[tuple[Key, Key]]) -> None:
        for before, after in changes:
            creator = self._books.keys[after.id].creator
            self._books.keys[after.id] = replace(after, creator=creator)
            left = {secret.digest for secret in after.secrets}
            for secret in before.secrets:
                if secret.digest not in left:
                    self._books.imports.pop(secret.digest, None)

    def _matches(self, which: KeyFilter, key: Key) -> bool:
        return (
            (which.workspace_ids is None or key.workspace_id in which.workspace_ids)
            and (which.state is None or key.state(self._time) is which.state)
            and which.creator_id in ("", key.creator.id)
            and (not which.secret_creator_id or self._has_secret_of(which.secret_creator_id, key))
            and ascii_lower(which.name_contains) in ascii_lower(key.settings.name)
        )

    def _has_secret_of(self, creator_id: str, key: Key) -> bool:
        return key.revocation is None and any(
            secret.creator.id == creator_id
            for secret in key.secrets
            if not secret.ended(self._time)
        )
