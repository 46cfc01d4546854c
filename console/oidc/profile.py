"""Who the person is, out of what the provider says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import ClientSession

from console.oidc.errors import OidcRefused, OidcUnavailable
from console.oidc.fetch import Document, fetch
from console.oidc.flow import Claims, same_text
from keyauthority.client import Secret

_MAX_EMAIL: Final = 254
_MAX_NAME: Final = 200
_OK: Final = 200
_WHAT: Final = "userinfo"


async def userinfo(
    session: ClientSession, url: str, access_token: Secret, subject: str
) -> Document:
    """What the userinfo endpoint says of *subject*. Raises OidcUnavailable or OidcRefused."""
    status, document = await fetch(
        session, "GET", url, _WHAT, authorization=f"Bearer {access_token.reveal()}"
    )
    if status != _OK:
        raise OidcUnavailable(f"{_WHAT}: status {status}")
    if not same_text(document.get("sub"), subject):
        raise OidcRefused(f"{_WHAT}: of another person")
    return document


def claims_of(issuer: str, subject: str, said: Mapping[str, Any]) -> Claims:
    """The claims in *said*, without those that are too long or of the wrong type."""
    email = _text(said.get("email"), _MAX_EMAIL)
    return Claims(
        issuer=issuer,
        subject=subject,
        email=email,
        # The text "true" is not the value: whoever gets this wrong may write "false" as well.
        email_verified=bool(email) and said.get("email_verified") is True,
        name=_text(said.get("name"), _MAX_NAME),
    )


def _text(value: object, most: int) -> str:
    good = isinstance(value, str) and len(value) <= most and value.isprintable()
    return str(value).strip() if good else ""
