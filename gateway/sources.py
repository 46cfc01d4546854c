"""Who a request comes from: the connection's other end, or whom a trusted proxy names."""

from __future__ import annotations

from collections.abc import Callable, Collection
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from aiohttp import web

Network = IPv4Network | IPv6Network
Source = Callable[[web.BaseRequest], str | None]

_FORWARDED_FOR: Final = "X-Forwarded-For"


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
