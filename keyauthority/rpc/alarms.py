"""What an operator has to be told of, however often it happens: counted, and logged now and then."""

from __future__ import annotations

import time
from typing import Final

import structlog
from prometheus_client import Counter

from keyauthority.domain.errors import KeyAuthorityError, Reason

QUIET: Final = 60.0
"""Seconds in which one alarm about one subject is logged once."""

KEPT: Final = 1_000
"""How many subjects are remembered."""

MISMATCHES: Final = Counter(
    "keyauthority_keyring_mismatches",
    "Calls that found a record which the keyring didn't make: altered, or of another keyring.",
)

log = structlog.get_logger()


class Alarms:
    """Tells of records that aren't of this keyring."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def notice(self, error: KeyAuthorityError) -> None:
        """Counts and logs *error*, if it is one of these."""
        if error.reason is not Reason.KEYRING_MISMATCH:
            return
        MISMATCHES.inc()
        now = time.monotonic()
        if now < self._told.get(error.message, now):
            return
        if len(self._told) >= KEPT:
            self._told.clear()
        self._told[error.message] = now + QUIET
        log.error("keyring_mismatch", why=error.message, **error.metadata)


ALARMS: Final = Alarms()
