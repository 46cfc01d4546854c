"""A brake on failed attempts: one client address may present only so many bad secrets."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gateway.sources import network_of

_WINDOW: Final = 60.0
_MAX_ADDRESSES: Final = 10_000


class Attempts:
    """Counts refused secrets by client address, as a leaky bucket (GCRA): one number each.

    An address whose bucket is full is told to wait before an unknown secret of its is looked up.
    Addresses are IPv4 addresses and IPv6 /64 networks; the books hold 10,000 of them, and forget
    the one that failed longest ago. What comes from nobody known is never told to wait.

    Args:
        per_minute: Refused secrets a minute that an address may have, and at once; 0 is no limit.
        clock: Seconds from any start.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = _WINDOW / per_minute if per_minute else 0.0
        self._clock = clock
        self._drained_at: OrderedDict[str, float] = OrderedDict()

    @property
    def retry_after(self) -> int:
        """Seconds after which an address that was told to wait may try again: 1 to 60."""
        return max(1, math.ceil(self._interval))

    def admits(self, address: str | None) -> bool:
        """Tell whether an unknown secret from *address* may be looked up."""
        if not self._drained_at or address is None:
            return True
        drained = self._drained_at.get(network_of(address))
        return drained is None or drained - self._clock() <= _WINDOW - self._interval

    def suspects(self, address: str | None) -> bool:
        """Tell whether a secret from *address* was refused within about a minute."""
        drained = self._drained_at.get(network_of(address))
        return drained is not None and self._clock() - drained < _WINDOW

    def refused(self, address: str | None) -> None:
        """Count one failed attempt against *address*."""
        network, now = network_of(address), self._clock()
        self._drained_at[network] = max(self._drained_at.get(network, now), now) + self._interval
        self._drained_at.move_to_end(network)
        if len(self._drained_at) > _MAX_ADDRESSES:
            self._drained_at.popitem(last=False)
