"""When secrets were last found to act: noted in memory, written down later and in batches.

Beside the records and never part of them: no verdict and no change waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from keyauthority.domain.keys import Key

Marks = Mapping[tuple[str, bytes], datetime]
"""When secrets, each by its key's id and its digest, were last found to act."""

WRITTEN_AGAIN_AFTER: Final = 60.0
"""Seconds for which a secret that was just written down is not written again."""

MOST: Final = 100_000
"""How many secrets are kept in mind. A use beyond that isn't noted; one of the next will be."""

AT_ONCE: Final = 1_000
"""How many secrets make a batch, so that no writing of one keeps others waiting for long."""


class LastUsed:
    """What the books don't know yet, of *most* secrets. A mark stays until it is written."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._marks: dict[tuple[str, bytes], datetime] = {}
        self._written: dict[tuple[str, bytes], float] = {}

    def mark(self, key_id: str, digest: bytes, time: datetime) -> None:
        """Notes that the secret was found to act. Done for every `VALID`, so it costs next to nothing."""
        secret = key_id, digest
        if secret in self._marks or len(self._marks) < self._most:
            self._marks[secret] = time

    def due(self, now: float) -> list[Marks]:
        """Batches to write at *now*, in seconds of any steady clock; at infinity all there is."""
        self._written = {
            secret: at for secret, at in self._written.items() if now - at < WRITTEN_AGAIN_AFTER
        }
        due = [mark for mark in self._marks.items() if mark[0] not in self._written]
        return [dict(due[first : first + AT_ONCE]) for first in range(0, len(due), AT_ONCE)]

    def written(self, marks: Marks, now: float) -> None:
        """Says that *marks* are in the books since *now*."""
        for secret, time in marks.items():
            if self._marks.get(secret) == time:  # not used again meanwhile
                del self._marks[secret]
            if len(self._written) < self._most:
                self._written[secret] = now

    def joined(
        self, keys: Iterable[Key], books: Mapping[str, Mapping[bytes, datetime]]
    ) -> list[Key]:
        """*keys* with when their secrets were last used: by the *books*, and by what they lack."""
        return [replace(key, last_used=self._latest(key, books.get(key.id, {}))) for key in keys]

    def _latest(self, key: Key, books: Mapping[bytes, datetime]) -> dict[bytes, datetime]:
        latest = dict(books)
        for secret in key.secrets:
            time = self._marks.get((key.id, secret.digest))
            if time is not None:
                latest[secret.digest] = max(time, latest.get(secret.digest, time))
        return latest
