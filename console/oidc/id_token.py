"""The id token: who signed in, signed by the provider for this console and this sign-in."""

from __future__ import annotations

import hashlib
import warnings
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from console.oidc.fetch import OidcRefused
from console.oidc.flow import same_text
from console.oidc.tokens import Tokens

LEEWAY: Final = 60
"""Seconds that the provider's clock may be off."""

# The hash that at_hash is made with, by the algorithm of the signature. Ed25519 is the name that
# RFC 9864 gives to what EdDSA means in practice.
_HASHES: Final = {
    "RS256": hashlib.sha256,
    "PS256": hashlib.sha256,
    "ES256": hashlib.sha256,
    "EdDSA": hashlib.sha512,
    "Ed25519": hashlib.sha512,
}
_MAX_SUBJECT: Final = 255


class NoKeyFitsError(Exception):
    """The provider's keys may have changed: ask for them again."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an id token has to say."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    now: datetime


def verify(tokens: Tokens, keys: KeySet, expected: Expected) -> Mapping[str, Any]:
    """The claims of the id token. Raises OidcRefused, or NoKeyFitsError."""
    token = _signed(tokens.id_token.reveal(), keys)
    _check_standard(token.claims, expected)
    _check_parties(token.claims, expected.client_id)
    if not same_text(token.claims.get("nonce"), expected.nonce):
        raise OidcRefused("id token: of another sign-in")
    if "at_hash" in token.claims and not same_text(
        token.claims["at_hash"], _half_hash(token.header["alg"], tokens.access_token.reveal())
    ):
        raise OidcRefused("id token: of another access token")
    return token.claims


def _signed(text: str, keys: KeySet) -> jwt.Token:
    # Headers that nobody asked for are no reason to refuse (RFC 7515); critical ones still are.
    registry = JWSRegistry(algorithms=list(_HASHES), strict_check_header=False)
    try:
        with warnings.catch_warnings():
            # Of EdDSA, for its name alone.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.decode(text, keys, registry=registry)
    except (InvalidKeyIdError, BadSignatureError):
        raise NoKeyFitsError from None
    except (JoseError, ValueError, TypeError, RecursionError):
        raise OidcRefused("id token: malformed, or not signed as it has to be") from None


def _check_standard(claims: dict[str, Any], expected: Expected) -> None:
    registry = jwt.JWTClaimsRegistry(
        now=int(expected.now.timestamp()),
        leeway=LEEWAY,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    try:
        registry.validate(claims)
    except JoseError as error:
        # The claim's name is one of those above; what it holds is not told.
        claim = getattr(error, "claim", "claims")
        raise OidcRefused(f"id token: {claim} not acceptable") from None
    if len(claims["sub"]) > _MAX_SUBJECT:
        raise OidcRefused("id token: sub not acceptable")


def _check_parties(claims: dict[str, Any], client_id: str) -> None:
    # A token for several parties says which one it was given to.
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise OidcRefused("id token: given to another client")


def _half_hash(algorithm: str, access_token: str) -> str:
    digest = _HASHES[algorithm](access_token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
