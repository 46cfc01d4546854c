"""The header fields that every answer bears."""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs

CSP: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

EVERYWHERE: Final = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# Pages tell of keys and people: nothing keeps them, not even the browser's back button.
PAGE: Final = {
    **EVERYWHERE,
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.CONTENT_TYPE: "text/html; charset=utf-8",
}

TLS: Final = {"Strict-Transport-Security": "max-age=31536000"}
