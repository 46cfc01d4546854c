"""How often the credits of a workspace are recalled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

RECALLED_EVERY: Final = timedelta(seconds=1)
"""The least from one recall of a workspace's credits to the next, by one process."""

_RECALLS: Final = 10_000


class Recalls:
    """When the credits of each workspace were recalled last, by this process."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}

    def are_due(self, workspace_id: str, now: datetime) -> bool:
        """Returns whether a recall may be made now."""
        last = self._last.get(workspace_id)
        return last is None or not last <= now < last + RECALLED_EVERY

    def note(self, workspace_id: str, now: datetime) -> None:
        """Notes that a recall was made: that it is in the books."""
        if len(self._last) >= _RECALLS:
            self._last.clear()
        self._last[workspace_id] = now
