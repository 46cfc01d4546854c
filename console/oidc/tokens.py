"""The exchange of a code for tokens, and of tokens for claims about the person."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_plus

from aiohttp import ClientSession

from console.oidc.discovery import Metadata
from console.oidc.fetch import Document, OidcRefused, OidcUnavailable, fetch, fetch_document
from console.oidc.flow import Claims, Tokens, same_text
from console.oidc.settings import OidcSettings
from keyauthority.client import Secret

_MAX_EMAIL: Final = 254
_MAX_NAME: Final = 200
_TOKENS: Final = "token endpoint"


async def exchange(
    session: ClientSession,
    metadata: Metadata,
    settings: OidcSettings,
    *,
    code: str,
    verifier: str,
    redirect_uri: str,
) -> Tokens:
    """Returns the tokens. Raises OidcRefused if *code* is not accepted, OidcUnavailable otherwise."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    }
    authorization, client = _client(settings, metadata)
    url = metadata.token_endpoint
    status, document = await fetch(
        session, "POST", url, _TOKENS, form=form | client, authorization=authorization
    )
    if status != HTTPStatus.OK:
        raise _refusal(status, document)
    return Tokens(Secret(_text(document, "id_token")), Secret(_text(document, "access_token")))


def _client(settings: OidcSettings, metadata: Metadata) -> tuple[str | None, dict[str, str]]:
    # Returns the client as an Authorization header, or as fields of the form.
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
    """Returns the userinfo claims about *subject*. Raises OidcUnavailable or OidcRefused."""
    bearer = f"Bearer {access_token.reveal()}"
    document = await fetch_document(session, url, "userinfo", bearer)
    if not same_text(document.get("sub"), subject):
        raise OidcRefused("userinfo: of another person")
    return document


def claims_of(issuer: str, subject: str, claims: Mapping[str, Any]) -> Claims:
    """Returns the valid claims; those that are too long or of the wrong type are empty."""
    email = _short_text(claims.get("email"), _MAX_EMAIL)
    return Claims(
        issuer=issuer,
        subject=subject,
        email=email,
        # The text "true" is not enough: a provider that sends texts may send "false" as well.
        email_verified=bool(email) and claims.get("email_verified") is True,
        name=_short_text(claims.get("name"), _MAX_NAME),
    )


def _short_text(value: object, most: int) -> str:
    valid = isinstance(value, str) and len(value) <= most and value.isprintable()
    return str(value).strip() if valid else ""
