"""Where a request came from: the connection's other end, or what the proxies in front say."""

from __future__ import annotations

import ipaddress

from aiohttp import web


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
