"""A brake on failed attempts: one client address may present only so many bad secrets."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv6Address
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_WINDOW: Final = 60.0
_MAX_ADDRESSES: Final = 10_000
_MAX_SECRETS: Final = 10_000


class Attempts:
    """Counts refused secrets by client address, as a leaky bucket (GCRA): one number each.

    An address whose bucket is full is told to wait before a secret of its is looked up, unless
    that secret was good before: a neighbour's failures behind the same address do not lock out a
    key that is in use. Addresses are IPv4 addresses and IPv6 /64 networks; the books hold 10,000
    of them and as many digests of good secrets, and forget the ones unused for longest.

    Args:
        per_minute: Refused secrets a minute that an address may have, and at once; 0 is no limit.
        clock: Seconds from any start.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = _WINDOW / per_minute if per_minute else 0.0
        self._clock = clock
        self._drained_at: OrderedDict[str, float] = OrderedDict()
        self._good: OrderedDict[bytes, None] = OrderedDict()

    @property
    def retry_after(self) -> int:
        """Seconds after which an address that was told to wait may try again: 1 to 60."""
        return max(1, math.ceil(self._interval))

    def admits(self, address: str | None, secret: str) -> bool:
        """Tell whether *secret* from *address* may be looked up."""
        if not self._drained_at:
            return True
        drained = self._drained_at.get(_network(address))
        if drained is None or drained - self._clock() <= _WINDOW - self._interval:
            return True
        return _digest(secret) in self._good

    def accepted(self, secret: str) -> None:
        """Remember that *secret* is good."""
        if self._interval:
            _touch(self._good, _digest(secret), None, _MAX_SECRETS)

    def refused(self, address: str | None, secret: str) -> None:
        """Count one failed attempt against *address*."""
        if not self._interval:
            return
        self._good.pop(_digest(secret), None)
        network, now = _network(address), self._clock()
        drained = max(self._drained_at.get(network, now), now) + self._interval
        _touch(self._drained_at, network, drained, _MAX_ADDRESSES)


def _digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _network(address: str | None) -> str:
    if address is None or ":" not in address:
        return address or ""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8].hex()


def _touch(books: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    books[key] = value
    books.move_to_end(key)
    if len(books) > limit:
        books.popitem(last=False)
