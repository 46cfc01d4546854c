"""Refusing what another site has a browser send: by what the browser says, and by a token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs

_FORM: Final = "form"
_LINK: Final = "link"


def token(cookie: str) -> str:
    """The token of forms shown to the browser that has *cookie*; it ends with the cookie.

    Derived, not kept: whoever knows the cookie needs no token, and nobody else can make one.
    """
    return derived(cookie, _FORM)


def is_token(cookie: str, presented: str) -> bool:
    """Whether *presented* came from a form shown to the browser that has *cookie*."""
    return _is_derived(cookie, _FORM, presented)


def proof(cookie: str) -> str:
    """What a link in a page proves with that it stands in a page shown to the browser with *cookie*.

    For the few links that have the browser keep something. Seen in an address, it is no form's token.
    """
    return derived(cookie, _LINK)


def is_proof(cookie: str, presented: str) -> bool:
    """Whether *presented* came from a link in a page shown to the browser that has *cookie*."""
    return _is_derived(cookie, _LINK, presented)


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


def _is_derived(cookie: str, purpose: str, presented: str) -> bool:
    if not cookie:
        return False
    return hmac.compare_digest(derived(cookie, purpose).encode(), presented.encode())
