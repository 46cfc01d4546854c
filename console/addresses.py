"""Where a request came from: the connection's other end, or what the proxies in front say."""

from __future__ import annotations

import ipaddress
from typing import Final

from aiohttp import web

_ONE_NETWORK: Final = 64
"""The bits of an IPv6 address that somebody is given; the rest they choose as they like."""


def network(address: str) -> str:
    """Whose attempts are counted together: an IPv4 address, or the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), _ONE_NETWORK), strict=False))


def source(request: web.BaseRequest, proxies: int) -> str:
    """The browser's address as the outermost of our *proxies* saw it; each adds one on the right.

    What stands further left was sent by the browser itself, and may be anything.
    """
    peer = request.remote or ""
    if not proxies:
        return peer
    seen = [
        one.strip()
        for line in request.headers.getall("X-Forwarded-For", [])
        for one in line.split(",")
    ]
    told = seen[-proxies] if len(seen) >= proxies else ""
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return peer
