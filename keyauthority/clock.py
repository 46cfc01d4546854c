"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """Tells the time by the machine's wall clock."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)
