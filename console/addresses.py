"""Where a request came from: the connection's other end, or what the proxies in front say."""

from __future__ import annotations

from ipaddress import ip_address

from aiohttp import web


def source(request: web.BaseRequest, proxies: int) -> str:
    """Returns the browser's address as the outermost of our *proxies* saw it.

    Each proxy adds an address on the right. What stands further left was sent by the browser
    itself, and may be anything.
    """
    peer = request.remote or ""
    if not proxies:
        return peer
    entries = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    try:
        return str(ip_address(entries[-proxies].strip()))
    except (IndexError, ValueError):
        return peer
