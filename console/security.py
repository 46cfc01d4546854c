"""What protects a browser: header fields, cookies, and tokens against forged requests."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from aiohttp import hdrs

CSP: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The header fields of every answer."""

# Pages show keys and people: nothing stores them, not even the browser's history.
PAGE_HEADERS: Final = {
    **HEADERS,
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
}
TLS_HEADERS: Final = {"Strict-Transport-Security": "max-age=31536000"}

# A browser accepts a cookie with this prefix only with Secure, for Path=/ and from this very host:
# no neighbour, no subdomain and no plaintext page can set one (RFC 6265bis, section 4.1.3.2).
SESSION: Final = "__Host-console-session"
VISITOR: Final = "__Host-console-visitor"
SIGN_IN: Final = "__Host-console-oidc"
NOTICE: Final = "__Host-console-notice"

_FLAGS: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_LONGEST_COOKIE: Final = 2048
_is_cookie_value = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch


def set_cookie(name: str, value: str, seconds: int | None = None) -> str:
    """Returns the `Set-Cookie` of a cookie that lasts for *seconds*, or until the browser closes.

    Raises `ValueError` for a value that would not stay within its cookie (RFC 6265, section 4.1.1).
    """
    if not _is_cookie_value(value):
        raise ValueError("no value of a cookie")
    age = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; {_FLAGS}{age}"


def cookie(cookies: Mapping[str, str], name: str) -> str:
    """Returns the cookie that the browser presents; empty if there is none, or none of ours."""
    value = cookies.get(name, "")
    return value if len(value) <= _LONGEST_COOKIE and value.isascii() else ""


def new_visitor() -> str:
    """Returns a cookie that ties a form to its browser before anybody signs in."""
    return secrets.token_urlsafe(32)


def encode(text: str) -> str:
    """Returns *text* in characters that a cookie may hold."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(value: str) -> str:
    """Returns the text that `encode` made *value* of; empty if it made no such value."""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except ValueError:
        return ""


def form_token(cookie: str) -> str:
    """Returns the token of forms shown to the browser with *cookie*; it ends with the cookie.

    Derived, not stored: whoever knows the cookie needs no token, and nobody else can make one.
    """
    return derive(cookie, "form")


def is_form_token(cookie: str, presented: str) -> bool:
    """Returns whether *presented* comes from a form shown to the browser with *cookie*."""
    return _is_derived(cookie, "form", presented)


def link_proof(cookie: str) -> str:
    """Returns the proof that a link stands in a page shown to the browser with *cookie*.

    The few links that set a cookie bear it. It shows in an address, so it is no form's token.
    """
    return derive(cookie, "link")


def is_link_proof(cookie: str, presented: str) -> bool:
    """Returns whether *presented* comes from a link shown to the browser with *cookie*."""
    return _is_derived(cookie, "link", presented)


def derive(cookie: str, purpose: str) -> str:
    """Returns a value that only *cookie* and *purpose* together yield, and that reveals neither."""
    return hmac.new(cookie.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def same_origin(headers: Mapping[str, str]) -> bool:
    """Returns whether the browser says that a page of the console sent the request.

    By `Sec-Fetch-Site` (W3C Fetch Metadata); from browsers without it, by `Origin`. A request
    with neither is refused.
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
    return hmac.compare_digest(derive(cookie, purpose).encode(), presented.encode())
