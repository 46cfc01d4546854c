"""The database's clock, which all replicas judge expiries by."""

from __future__ import annotations

from datetime import UTC, datetime

from keyauthority.domain.ports import Clock


class DatabaseClock:
    """Takes the times that the database tells, but never an earlier one than before.

    Otherwise a clock that is set back, or a failover to a server whose clock is behind, would bring
    to life what has ended. With *instead*, it is that clock's time that counts: for tests.
    """

    def __init__(self, instead: Clock | None) -> None:
        self._instead = instead
        self._told = datetime.min.replace(tzinfo=UTC)

    def told(self, time: datetime) -> datetime:
        """The time, when the database says that it is *time*."""
        if self._instead is not None:
            return self._instead.now()
        self._told = max(self._told, time)
        return self._told
