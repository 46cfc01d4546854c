"""Clients' addresses."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network
from typing import Final

_NETWORK: Final = 64
"""The bits of an IPv6 address that a client is given; it chooses the rest as it likes."""


def network(address: str) -> str:
    """Returns whose attempts are counted together: an IPv4 address, or an IPv6 network.

    IPv4 inside IPv6 is IPv4. What is no address is returned as it is.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or ip_network((int(parsed), _NETWORK), strict=False))
