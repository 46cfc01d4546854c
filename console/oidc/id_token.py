"""The id token, which the provider signs for this console and this sign-in."""

from __future__ import annotations

import hashlib
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from console.oidc.fetch import OidcRefused
from console.oidc.flow import Tokens, same_text
from console.oidc.settings import OidcSettings

LEEWAY: Final = 60
"""The seconds that the provider's clock may be off."""

# The hash function of at_hash, by the algorithm of the signature. Ed25519 is RFC 9864's name for what
# EdDSA means in practice.
_HASHES: Final = {
    "RS256": hashlib.sha256,
    "PS256": hashlib.sha256,
    "ES256": hashlib.sha256,
    "EdDSA": hashlib.sha512,
    "Ed25519": hashlib.sha512,
}
_MAX_SUBJECT: Final = 255


class NoKeyFitsError(Exception):
    """None of the keys signed the token: the provider may have new ones."""


def verify(
    tokens: Tokens, keys: KeySet, settings: OidcSettings, nonce: str, now: datetime
) -> Mapping[str, Any]:
    """Returns the claims of the id token. Raises OidcRefused, or NoKeyFitsError."""
    token = _decode(tokens.id_token.reveal(), keys)
    _check_standard(token.claims, settings, now)
    _check_parties(token.claims, settings.client_id)
    if not same_text(token.claims.get("nonce"), nonce):
        raise OidcRefused("id token: of another sign-in")
    if "at_hash" in token.claims and not same_text(
        token.claims["at_hash"], _half_hash(token.header["alg"], tokens.access_token.reveal())
    ):
        raise OidcRefused("id token: of another access token")
    return token.claims


def _decode(text: str, keys: KeySet) -> jwt.Token:
    # Unknown headers are ignored (RFC 7515), unless they are critical.
    registry = JWSRegistry(algorithms=list(_HASHES), strict_check_header=False)
    try:
        with warnings.catch_warnings():
            # joserfc warns of the name EdDSA.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.decode(text, keys, registry=registry)
    except (InvalidKeyIdError, BadSignatureError):
        raise NoKeyFitsError from None
    except (JoseError, ValueError, TypeError, RecursionError):
        raise OidcRefused("id token: malformed, or not signed as it has to be") from None


def _check_standard(claims: dict[str, Any], settings: OidcSettings, now: datetime) -> None:
    registry = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": settings.issuer},
        aud={"essential": True, "value": settings.client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        registry.validate(claims)
    except JoseError as error:
        # The reason names one of the claims above, and never its value.
        claim = getattr(error, "claim", "claims")
        raise OidcRefused(f"id token: {claim} not acceptable") from None
    if len(claims["sub"]) > _MAX_SUBJECT:
        raise OidcRefused("id token: sub not acceptable")


def _check_parties(claims: dict[str, Any], client_id: str) -> None:
    # A token for several parties names the one that it was issued to.
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise OidcRefused("id token: given to another client")


def _half_hash(algorithm: str, access_token: str) -> str:
    digest = _HASHES[algorithm](access_token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
