"""The addresses of clients."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network
from typing import Final

_NETWORK: Final = 64
"""The leading bits of an IPv6 address that identify a client, which chooses the rest itself."""


def network(address: str) -> str:
    """Returns the IPv4 address or IPv6 network by which a client's attempts are counted.

    IPv4 inside IPv6 is IPv4. Text that is no address is returned unchanged.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or ip_network((int(parsed), _NETWORK), strict=False))
