"""Who a request comes from, and the brake on the failed attempts of each source."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web

from keyauthority.base.http.addresses import network
from keyauthority.base.recent import Recent

Network = IPv4Network | IPv6Network
Source = Callable[[web.BaseRequest], str | None]

_FORWARDED_FOR: Final = "X-Forwarded-For"
_WINDOW: Final = 60.0
"""Seconds over which failed attempts are counted."""

_MAX_ADDRESSES: Final = 10_000
_LONG_AGO: Final = -math.inf


class Sources:
    """Finds the addresses that failed attempts are counted against.

    A trusted proxy adds the address it was called from to the end of `X-Forwarded-For`. What
    stands before the last address that is in no *trusted* network may be anything, and is ignored.
    """

    def __init__(self, trusted: Collection[Network]) -> None:
        self._trusted = tuple(trusted)

    def client(self, request: web.BaseRequest) -> str | None:
        """Returns who sent *request*; None if that is a trusted proxy that names nobody."""
        peer = request.remote or ""
        return self._forwarded(request) if self._trusts(peer) else peer

    def client_of_proxy(self, request: web.BaseRequest) -> str | None:
        """Returns whom the proxy that sent *request* names; None if it is not trusted or names nobody.

        The proxy's own address is that of all its clients: nothing may be held against it.
        """
        return self._forwarded(request) if self._trusts(request.remote or "") else None

    def _forwarded(self, request: web.BaseRequest) -> str | None:
        lines = request.headers.getall(_FORWARDED_FOR, ())
        for entry in reversed(",".join(lines).split(",")):
            address = _without_port(entry.strip())
            if not self._trusts(address):
                return address if _parse(address) is not None else None
        return None

    def _trusts(self, text: str) -> bool:
        # Most gateways trust nobody, and need not know what address it is.
        if not self._trusted or (address := _parse(text)) is None:
            return False
        return any(address in trusted for trusted in self._trusted)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _without_port(entry: str) -> str:
    # Some proxies write 192.0.2.1:5000 and [2001:db8::1]:5000.
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


class Attempts:
    """Counts refused secrets by client address, as a leaky bucket (GCRA): one number each.

    An address whose bucket is full has to wait before another unknown secret from it is looked up.
    Addresses are IPv4 addresses and IPv6 /64 networks; the 10,000 that failed last are remembered.
    What comes from nobody known never has to wait. An address may have *per_minute* refused secrets
    at once and each minute of *clock*; 0 is no limit.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = _WINDOW / per_minute if per_minute else 0.0
        self._clock = clock
        self._drained_at: Recent[str, float] = Recent(_MAX_ADDRESSES)

    @property
    def retry_after(self) -> int:
        """The seconds after which an address that has to wait may try again: 1 to 60."""
        return max(1, math.ceil(self._interval))

    def admits(self, address: str | None) -> bool:
        """Returns whether an unknown secret from *address* may be looked up."""
        return address is None or self._drains_in(address) <= _WINDOW - self._interval

    def suspects(self, address: str | None) -> bool:
        """Returns whether a secret from *address* was refused within about a minute."""
        return self._drains_in(address) > -_WINDOW

    def refused(self, address: str | None) -> None:
        """Counts one failed attempt against *address*."""
        name, now = network(address or ""), self._clock()
        self._drained_at.note(name, max(self._drained_at.get(name, now), now) + self._interval)

    def _drains_in(self, address: str | None) -> float:
        return self._drained_at.get(network(address or ""), _LONG_AGO) - self._clock()
