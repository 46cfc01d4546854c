"""When secrets were last used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from keyauthority.domain.last_used import Marks
from keyauthority.storage.memory.books import Books


class MemoryLastUses:
    """`LastUses` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._last_used = books.last_used

    async def note(self, marks: Marks) -> None:
        for secret, time in marks.items():
            self._last_used[secret] = max(time, self._last_used.get(secret, time))

    async def of(self, key_ids: Sequence[str]) -> dict[str, dict[bytes, datetime]]:
        found: defaultdict[str, dict[bytes, datetime]] = defaultdict(dict)
        for (key_id, digest), time in self._last_used.items():
            if key_id in key_ids:
                found[key_id][digest] = time
        return dict(found)
