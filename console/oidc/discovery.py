"""What the provider says of itself: its endpoints, and the keys that it signs with."""

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

KEPT: Final = timedelta(hours=1)
"""How long the provider's description and its keys are used before they are asked for again."""

REFETCH: Final = timedelta(seconds=30)
"""How old keys have to be before an id token that none of them fits has them asked for again."""

_DISCOVERY: Final = "discovery"
_KEYS: Final = "keys"


@dataclass(frozen=True, slots=True)
class Metadata:
    """The provider's endpoints, and what they can do."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    client_authentications: tuple[str, ...]
    sends_issuer: bool

    @classmethod
    def of(cls, document: Document, issuer: str) -> Self:
        """Read *document*. Raises OidcUnavailable for another issuer's, or an incomplete one."""
        if document.get("issuer") != issuer:
            raise OidcUnavailable(f"{_DISCOVERY}: describes another issuer")
        has_userinfo = document.get("userinfo_endpoint") is not None
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not isinstance(methods, list):
            raise OidcUnavailable(f"{_DISCOVERY}: token_endpoint_auth_methods_supported is no list")
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
    if not isinstance(url, str) or not is_safe(url):
        raise OidcUnavailable(f"{_DISCOVERY}: {name} is no https URL")
    if issuer.startswith("https:") and not url.startswith("https:"):
        raise OidcUnavailable(f"{_DISCOVERY}: {name} is no https URL")
    return url


class Discovery:
    """The provider's description, asked for when it is first needed."""

    def __init__(
        self, settings: OidcSettings, session: ClientSession, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._kept: tuple[datetime, Metadata] | None = None

    async def metadata(self) -> Metadata:
        """The description, at most `KEPT` old. Raises OidcUnavailable."""
        now = self._clock()
        if self._kept is not None and now - self._kept[0] < KEPT:
            return self._kept[1]
        document = await fetch_document(self._session, self._settings.discovery_url, _DISCOVERY)
        metadata = Metadata.of(document, self._settings.issuer)
        self._kept = now, metadata
        return metadata


class Keys:
    """The keys, asked for when they are first needed, when they are old and when none fits."""

    def __init__(self, session: ClientSession, clock: Callable[[], datetime]) -> None:
        self._session = session
        self._clock = clock
        self._kept: tuple[datetime, KeySet] | None = None

    async def current(self, url: str) -> KeySet:
        """Keys at most `KEPT` old. Raises OidcUnavailable."""
        if self._kept is not None and self._clock() - self._kept[0] < KEPT:
            return self._kept[1]
        return await self._fetch(url)

    async def newer_than(self, seen: KeySet, url: str) -> KeySet | None:
        """Keys newer than *seen*, or None if *seen* are too new to ask again.

        Raises OidcUnavailable.
        """
        if self._kept is not None and self._kept[1] is not seen:
            return self._kept[1]
        if self._kept is not None and self._clock() - self._kept[0] < REFETCH:
            return None
        return await self._fetch(url)

    async def _fetch(self, url: str) -> KeySet:
        now = self._clock()
        keys = KeySet(list(_usable(await fetch_document(self._session, url, _KEYS))))
        if not keys:
            raise OidcUnavailable(f"{_KEYS}: none that can be used")
        self._kept = now, keys
        return keys


def _usable(document: Document) -> Iterator[Key]:
    # A key that is malformed, too short or of a kind not known here is passed over, as RFC 7517
    # asks for: providers publish new kinds beside the old ones.
    published = document.get("keys")
    for key in published if isinstance(published, list) else ():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)
                yield JWKRegistry.import_key(key)
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            continue
