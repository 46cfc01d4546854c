"""How many charges a second one caller may bring."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from keyauthority.domain.errors import KeyAuthorityError, Reason

BURST: Final = 1.0
"""Seconds: a caller that was silent may bring at once what it may in that time."""

_CALLERS: Final = 1_000
"""With as many, those are forgotten that have been silent for long enough to begin anew."""


class ChargeRates:
    """A token bucket for each caller.

    A call is taken whole while the bucket isn't empty, and the next one waits for what it took too
    much: in t seconds a caller brings at most `most` times (t + `BURST`) charges, and those of one
    call.

    Args:
        most: Charges a second, 1 or more.
        now: The clock, in seconds; it never goes back.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        # When each caller's bucket is full again: until then it lacks `most` for each second.
        self._full: dict[str, float] = {}

    def take(self, caller_id: str, charges: int) -> None:
        """Takes so many *charges* of the caller; raises `TOO_MANY_CHARGES`, which takes none."""
        if not charges:
            return
        now = self._now()
        full = max(self._full.get(caller_id, now), now)
        if full - now >= BURST:
            raise KeyAuthorityError(
                Reason.TOO_MANY_CHARGES,
                f"the caller brings more than {self._most:,} charges a second",
                charges_per_second=str(self._most),
                retry_after=f"{full - now - BURST:.3f}",
            )
        if len(self._full) >= _CALLERS and caller_id not in self._full:
            self._full = {caller: at for caller, at in self._full.items() if at > now}
        self._full[caller_id] = full + charges / self._most
