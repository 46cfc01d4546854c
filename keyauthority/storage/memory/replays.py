"""The sealed answers to retry-safe requests."""

from __future__ import annotations

from datetime import datetime

from keyauthority.domain.ports import Replay
from keyauthority.storage.memory.books import Books


class MemoryReplays:
    """`Replays` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._replays = books.replays

    async def get(self, caller_id: str, request_id: str) -> Replay | None:
        return self._replays.get((caller_id, request_id))

    async def put(self, replay: Replay) -> None:
        self._replays[replay.caller_id, replay.request_id] = replay

    async def prune(self, now: datetime) -> int:
        expired = [place for place, one in self._replays.items() if one.expire_time <= now]
        for place in expired:
            del self._replays[place]
        return len(expired)
