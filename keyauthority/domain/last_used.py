"""When secrets were last `VALID`: noted in memory, written to the books later and in batches.

The times are no part of the records: no verdict and no change waits for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from keyauthority.domain.keys import Key

Marks = Mapping[tuple[str, bytes], datetime]
"""When secrets were last `VALID`, by the key's id and the secret's digest."""

WRITTEN_AGAIN_AFTER: Final = 60.0
"""Seconds between two writings of the same secret's mark."""

MOST: Final = 100_000
"""How many secrets have marks in memory. Uses of further secrets are not noted meanwhile."""

AT_ONCE: Final = 1_000
"""How many marks a batch has, so that no batch delays other transactions for long."""


class LastUsed:
    """The marks of up to *most* secrets that the books don't have yet."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._marks: dict[tuple[str, bytes], datetime] = {}
        self._written: dict[tuple[str, bytes], float] = {}

    def mark(self, key_id: str, digest: bytes, time: datetime) -> None:
        """Notes a use of the secret. Every `VALID` calls this, so it must stay cheap."""
        secret = key_id, digest
        if secret in self._marks or len(self._marks) < self._most:
            self._marks[secret] = time

    def due(self, now: float) -> list[Marks]:
        """Returns the batches to write at *now* (seconds of a steady clock; infinity: all marks)."""
        self._written = {
            secret: at for secret, at in self._written.items() if now - at < WRITTEN_AGAIN_AFTER
        }
        due = [mark for mark in self._marks.items() if mark[0] not in self._written]
        return [dict(due[first : first + AT_ONCE]) for first in range(0, len(due), AT_ONCE)]

    def written(self, marks: Marks, now: float) -> None:
        """Drops *marks*, which are in the books since *now*."""
        for secret, time in marks.items():
            if self._marks.get(secret) == time:  # else the secret was used again meanwhile
                del self._marks[secret]
            if len(self._written) < self._most:
                self._written[secret] = now

    def joined(
        self, keys: Iterable[Key], books: Mapping[str, Mapping[bytes, datetime]]
    ) -> list[Key]:
        """Returns *keys* with the times of the *books* and of the marks that they lack."""
        return [replace(key, last_used=self._latest(key, books.get(key.id, {}))) for key in keys]

    def _latest(self, key: Key, books: Mapping[bytes, datetime]) -> dict[bytes, datetime]:
        latest = dict(books)
        for secret in key.secrets:
            time = self._marks.get((key.id, secret.digest))
            if time is not None:
                latest[secret.digest] = max(time, latest.get(secret.digest, time))
        return latest
