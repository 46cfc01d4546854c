"""The console's cookies: readable by no script, sent to no other host, and never in plaintext."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from typing import Final

# A browser takes a cookie of such a name only with Secure, for Path=/ and for this very host:
# no neighbour, no subdomain and no plaintext page can set one (RFC 6265bis, section 4.1.3.2).
SESSION: Final = "__Host-console-session"
VISITOR: Final = "__Host-console-visitor"
SIGN_IN: Final = "__Host-console-oidc"
NOTICE: Final = "__Host-console-notice"

_FLAGS: Final = "Path=/; Secure; HttpOnly; SameSite=Lax"
_SANE: Final = 2048
_is_value = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch


def kept(name: str, value: str, seconds: int | None = None) -> str:
    """The `Set-Cookie` that has a browser keep *value*, until it is closed or for so long.

    Raises `ValueError` for a value that would not stay within its cookie (RFC 6265, section 4.1.1).
    """
    if not _is_value(value):
        raise ValueError("no value of a cookie")
    lasting = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; {_FLAGS}{lasting}"


def forgotten(name: str) -> str:
    """The `Set-Cookie` that has a browser forget it."""
    return f"{name}=; {_FLAGS}; Max-Age=0"


def presented(cookies: Mapping[str, str], name: str) -> str:
    """What the browser sent back, empty if nothing of use."""
    value = cookies.get(name, "")
    return value if len(value) <= _SANE and value.isascii() else ""


def new_visitor() -> str:
    """What ties a form to the browser it was shown in, before anybody signs in."""
    return secrets.token_urlsafe(32)


def packed(text: str) -> str:
    """*text* in characters that a cookie may hold."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unpacked(value: str) -> str:
    """What `packed` was given; empty if *value* is something else."""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
    except ValueError:
        return ""
