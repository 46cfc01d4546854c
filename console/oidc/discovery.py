"""The provider's description of itself: its endpoints, and the keys that it signs with."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from aiohttp import ClientSession
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key, KeySet

from console.oidc.fetch import Document, OidcUnavailable, fetch_document
from console.oidc.settings import OidcSettings, is_safe

MAX_AGE: Final = timedelta(hours=1)
"""How long the description and the keys are used before they are fetched again."""

REFETCH: Final = timedelta(seconds=30)
"""The age from which keys are fetched again for an id token that none of them signed."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """The provider's endpoints and abilities."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    client_authentications: tuple[str, ...]
    sends_issuer: bool

    @classmethod
    def of(cls, document: Document, issuer: str) -> Self:
        """Parses *document*. Raises OidcUnavailable if it is another issuer's or incomplete."""
        if document.get("issuer") != issuer:
            raise OidcUnavailable("discovery: describes another issuer")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not isinstance(methods, list):
            raise OidcUnavailable("discovery: token_endpoint_auth_methods_supported is no list")
        has_userinfo = document.get("userinfo_endpoint") is not None
        return cls(
            authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
            token_endpoint=_endpoint(document, "token_endpoint", issuer),
            jwks_uri=_endpoint(document, "jwks_uri", issuer),
            userinfo_endpoint=(
                _endpoint(document, "userinfo_endpoint", issuer) if has_userinfo else None
            ),
            client_authentications=tuple(map(str, methods)),
            sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        )


def _endpoint(document: Document, name: str, issuer: str) -> str:
    url = document.get(name)
    # An https provider has no http endpoint, not even on loopback.
    schemes = ("https:",) if issuer.startswith("https:") else ("https:", "http:")
    if not isinstance(url, str) or not is_safe(url) or not url.startswith(schemes):
        raise OidcUnavailable(f"discovery: {name} is no https URL")
    return url


class Discovery:
    """The cached description and keys, fetched when they are first needed."""

    def __init__(
        self, settings: OidcSettings, session: ClientSession, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._metadata: tuple[datetime, Metadata] | None = None
        self._keys: tuple[datetime, KeySet] | None = None

    async def metadata(self) -> Metadata:
        """Returns the description, at most `MAX_AGE` old. Raises OidcUnavailable."""
        now = self._clock()
        if self._metadata is not None and now - self._metadata[0] < MAX_AGE:
            return self._metadata[1]
        url = self._settings.discovery_url
        document = await fetch_document(self._session, url, "discovery")
        metadata = Metadata.of(document, self._settings.issuer)
        self._metadata = now, metadata
        return metadata

    async def keys(self, url: str) -> KeySet:
        """Returns the keys, at most `MAX_AGE` old. Raises OidcUnavailable."""
        if self._keys is not None and self._clock() - self._keys[0] < MAX_AGE:
            return self._keys[1]
        return await self._fetch_keys(url)

    async def keys_after(self, tried: KeySet, url: str) -> KeySet | None:
        """Returns keys newer than *tried*, or None if those are too new. Raises OidcUnavailable."""
        if self._keys is not None and self._keys[1] is not tried:
            return self._keys[1]
        if self._keys is not None and self._clock() - self._keys[0] < REFETCH:
            return None
        return await self._fetch_keys(url)

    async def _fetch_keys(self, url: str) -> KeySet:
        now = self._clock()
        keys = KeySet(list(_usable(await fetch_document(self._session, url, "keys"))))
        if not keys:
            raise OidcUnavailable("keys: none that can be used")
        self._keys = now, keys
        return keys


def _usable(document: Document) -> Iterator[Key]:
    # Skips keys that are malformed, too short or of an unknown kind, as RFC 7517 demands: providers
    # publish new kinds beside the old ones.
    published = document.get("keys")
    for key in published if isinstance(published, list) else ():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)
                yield JWKRegistry.import_key(key)
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            continue
