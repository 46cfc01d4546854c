"""What an operator has to be told of, however often it happens: counted, and logged now and then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.metrics import CallMetrics

QUIET: Final = 60.0
"""Seconds in which one alarm about one subject is logged once."""

KEPT: Final = 1_000
"""How many subjects are remembered."""

log = structlog.get_logger()


class Alarms:
    """Tells of records that aren't of this keyring."""

    def __init__(self, metrics: CallMetrics, now: Callable[[], float]) -> None:
        self._metrics = metrics
        self._now = now
        self._told: dict[str, float] = {}

    def notice(self, error: KeyAuthorityError) -> None:
        """Counts and logs *error*, if it is one of these."""
        if error.reason is not Reason.KEYRING_MISMATCH:
            return
        self._metrics.keyring_mismatches += 1
        now = self._now()
        if now < self._told.get(error.message, now):
            return
        if len(self._told) >= KEPT:
            self._told.clear()
        self._told[error.message] = now + QUIET
        log.error("keyring_mismatch", why=error.message, **error.metadata)
