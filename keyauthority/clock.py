"""The machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """Tells the time by the machine's wall clock, but never an earlier one than it told before.

    Otherwise a clock that is set back would bring to life what has ended: a secret that a rotation
    retired, or a key past its expiry.
    """

    def __init__(self) -> None:
        self._told = datetime.min.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """The time in UTC."""
        self._told = max(self._told, datetime.now(UTC))
        return self._told
