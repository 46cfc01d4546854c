"""Who a request comes from, and the brake on the failed attempts of each source."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import web

Network = IPv4Network | IPv6Network
Source = Callable[[web.BaseRequest], str | None]

_FORWARDED_FOR: Final = "X-Forwarded-For"
_WINDOW: Final = 60.0
"""Seconds over which failed attempts are counted."""

_MAX_ADDRESSES: Final = 10_000


class Sources:
    """Finds the addresses that failed attempts are counted against.

    A trusted proxy adds the address it was called from to the end of `X-Forwarded-For`. What
    stands before the last address that is no trusted proxy may be anything, and is not looked at.

    Args:
        trusted: The networks of the proxies.
    """

    def __init__(self, trusted: Collection[Network]) -> None:
        self._trusted = tuple(trusted)

    def client(self, request: web.BaseRequest) -> str | None:
        """The address of who sent *request*; None if that is a trusted proxy that names nobody."""
        peer = request.remote or ""
        return self._named(request) if self._trusts(peer) else peer

    def asked_about(self, request: web.BaseRequest) -> str | None:
        """The address that a proxy asks about with *request*; None if it is not trusted or names none.

        The proxy's own address is that of all its clients: nothing may be held against it.
        """
        return self._named(request) if self._trusts(request.remote or "") else None

    def _named(self, request: web.BaseRequest) -> str | None:
        lines = request.headers.getall(_FORWARDED_FOR, ())
        for entry in reversed(",".join(lines).split(",")):
            address = _without_port(entry.strip())
            if not self._trusts(address):
                return address if _is_address(address) else None
        return None

    def _trusts(self, address: str) -> bool:
        if not self._trusted:
            return False
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._trusted)


def parse_network(text: str) -> Network:
    """The network that *text* writes as an address or as ADDRESS/BITS; raises `ValueError`."""
    return ip_network(text)


def network_of(address: str | None) -> str:
    """What is counted as one source: an IPv4 address, an IPv6 /64 network; "" is nobody known."""
    if address is None or ":" not in address:
        return address or ""
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8].hex()


def _without_port(entry: str) -> str:
    # Some proxies write 192.0.2.1:5000 and [2001:db8::1]:5000.
    if entry.startswith("["):
        return entry[1:].partition("]")[0]
    return entry.partition(":")[0] if entry.count(":") == 1 else entry


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


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
