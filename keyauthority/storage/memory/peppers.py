"""The pepper versions, and who needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from keyauthority.domain.keys import Key, StoredSecret
from keyauthority.domain.peppers import Pepper
from keyauthority.storage.memory.books import Books


class MemoryPeppers:
    """`Peppers` within one transaction."""

    def __init__(self, books: Books, time: datetime) -> None:
        self._books = books
        self._time = time

    async def all(self) -> list[Pepper]:
        return [pepper for _, pepper in sorted(self._books.peppers.items())]

    async def to_change(self) -> list[Pepper]:
        return await self.all()

    async def put(self, pepper: Pepper) -> None:
        self._books.peppers[pepper.version] = pepper

    async def uses(self) -> dict[int, int]:
        uses = Counter(
            secret.pepper_version
            for key in self._books.keys.values()
            for secret in key.secrets
            if key.revocation is None and not secret.ended(self._time)
        )
        uses.update(
            caller.pepper_version
            for caller in self._books.callers.values()
            if caller.revoke_time is None
        )
        return dict(uses)

    async def forget(self, version: int) -> None:
        for key in list(self._books.keys.values()):
            kept = tuple(one for one in key.secrets if one.pepper_version != version)
            for secret in key.secrets:
                if secret.pepper_version == version:
                    self._books.imports.pop(secret.digest, None)
            self._forget_digests(key, [one for one in key.secrets if one not in kept])
            self._books.keys[key.id] = replace(key, secrets=kept)
        for caller in list(self._books.callers.values()):
            if caller.pepper_version == version:
                self._books.callers[caller.id] = replace(caller, digest=b"")

    def _forget_digests(self, key: Key, forgotten: Iterable[StoredSecret]) -> None:
        last_used = self._books.last_used
        for one in forgotten:
            time = last_used.pop((key.id, one.digest), None)
            if time is not None:
                last_used[key.id, b""] = max(time, last_used.get((key.id, b""), time))
