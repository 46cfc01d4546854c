"""The code for tokens, and these for who the person is."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

from aiohttp import ClientSession

from console.oidc.discovery import Metadata
from console.oidc.fetch import Document, OidcRefused, OidcUnavailable, fetch
from console.oidc.flow import Claims, same_text
from console.oidc.settings import OidcSettings
from keyauthority.client import Secret

_MAX_EMAIL: Final = 254
_MAX_NAME: Final = 200
_OK: Final = 200
_TOKENS: Final = "token endpoint"
_USERINFO: Final = "userinfo"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code was exchanged for. `access_token` is empty if there is none."""

    id_token: Secret
    access_token: Secret


async def exchange(
    session: ClientSession,
    metadata: Metadata,
    settings: OidcSettings,
    *,
    code: str,
    verifier: str,
    redirect_uri: str,
) -> Tokens:
    """The tokens for *code*. Raises OidcRefused if it is not good, OidcUnavailable otherwise."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    authorization, more = _client(settings, metadata)
    status, document = await fetch(
        session,
        "POST",
        metadata.token_endpoint,
        _TOKENS,
        form=form | more,
        authorization=authorization,
    )
    if status != _OK:
        raise _refusal(status, document)
    return Tokens(Secret(_text(document, "id_token")), Secret(_text(document, "access_token")))


def _client(settings: OidcSettings, metadata: Metadata) -> tuple[str | None, dict[str, str]]:
    # Who asks: as a header, or as fields of the form.
    if settings.client_secret is None:
        return None, {"client_id": settings.client_id}
    secret = settings.client_secret.reveal()
    if "client_secret_basic" in metadata.client_authentications:
        # Encoded as RFC 6749 §2.3.1 says, so that a colon in the id stays within it.
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
        return f"Basic {b64encode(pair.encode()).decode()}", {}
    if "client_secret_post" in metadata.client_authentications:
        return None, {"client_id": settings.client_id, "client_secret": secret}
    raise OidcUnavailable(f"{_TOKENS}: takes no client secret")


def _refusal(status: int, document: Document) -> OidcRefused | OidcUnavailable:
    if document.get("error") == "invalid_grant":
        return OidcRefused(f"{_TOKENS}: the code was not accepted")
    if document.get("error") in {"invalid_client", "unauthorized_client"}:
        return OidcUnavailable(f"{_TOKENS}: the client id or secret was not accepted")
    return OidcUnavailable(f"{_TOKENS}: status {status}")


def _text(document: Document, name: str) -> str:
    text = document.get(name, "")
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise OidcUnavailable(f"{_TOKENS}: {name} is no token")
    return text


async def userinfo(
    session: ClientSession, url: str, access_token: Secret, subject: str
) -> Document:
    """What the userinfo endpoint says of *subject*. Raises OidcUnavailable or OidcRefused."""
    status, document = await fetch(
        session, "GET", url, _USERINFO, authorization=f"Bearer {access_token.reveal()}"
    )
    if status != _OK:
        raise OidcUnavailable(f"{_USERINFO}: status {status}")
    if not same_text(document.get("sub"), subject):
        raise OidcRefused(f"{_USERINFO}: of another person")
    return document


def claims_of(issuer: str, subject: str, said: Mapping[str, Any]) -> Claims:
    """The claims in *said*, without those that are too long or of the wrong type."""
    email = _short_text(said.get("email"), _MAX_EMAIL)
    return Claims(
        issuer=issuer,
        subject=subject,
        email=email,
        # The text "true" is not the value: whoever gets this wrong may write "false" as well.
        email_verified=bool(email) and said.get("email_verified") is True,
        name=_short_text(said.get("name"), _MAX_NAME),
    )


def _short_text(value: object, most: int) -> str:
    good = isinstance(value, str) and len(value) <= most and value.isprintable()
    return str(value).strip() if good else ""
