"""Refusing what another site has a browser send: by what the browser says, and by a token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import hdrs


def token(cookie: str) -> str:
    """The token of forms shown to the browser that has *cookie*; it ends with the cookie.

    Derived, not kept: whoever knows the cookie needs no token, and nobody else can make one.
    """
    return derived(cookie, "form")


def is_token(cookie: str, presented: str) -> bool:
    """Whether *presented* came from a form shown to the browser that has *cookie*."""
    if not cookie:
        return False
    return hmac.compare_digest(token(cookie).encode(), presented.encode())


def derived(cookie: str, purpose: str) -> str:
    """Something only this browser's cookie and *purpose* give, and that gives neither away."""
    return hmac.new(cookie.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the browser says that a page of ours sent the request.

    By `Sec-Fetch-Site` (W3C Fetch Metadata); from browsers without it, by `Origin`. One that tells
    neither is refused.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin, host = headers.get(hdrs.ORIGIN), headers.get(hdrs.HOST)
    try:
        return bool(origin and host) and urlsplit(origin).netloc == host
    except ValueError:
        return False
