"""Log lines about what goes wrong for every request, written for some of them."""

from __future__ import annotations

import time
from typing import Final

import structlog

_SECONDS_BETWEEN: Final = 10.0


class Complaint:
    """One thing that can go wrong; it is logged at most every ten seconds."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._log = structlog.get_logger("gateway")
        self._made_at = -_SECONDS_BETWEEN

    def make(self, reason: str) -> None:
        """Log that it happened, and why, unless it was just logged."""
        now = time.monotonic()
        if now - self._made_at >= _SECONDS_BETWEEN:
            self._made_at = now
            self._log.error(self._event, reason=reason)
