"""Who is at the other end of a connection, as gRPC writes it: `ipv4:10.0.0.7:41522`."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import unquote

_PREFIX: Final = 4
"""The groups of an IPv6 address that tell one site's network from another's."""


def host_of(peer: str) -> str:
    """The host that *peer* is a connection of: an IPv6 one by its /64, which one site has whole."""
    family, _, address = peer.partition(":")
    host = address.rpartition(":")[0]
    if family != "ipv6":
        return f"{family}:{host}"
    groups = ipaddress.ip_address(unquote(host).strip("[]").partition("%")[0]).exploded
    return f"{family}:{':'.join(groups.split(':')[:_PREFIX])}"
