"""What the provider says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from aiohttp import ClientSession

from console.oidc.errors import OidcUnavailable
from console.oidc.fetch import Document, fetch_document
from console.oidc.settings import OidcSettings, is_safe

KEPT: Final = timedelta(hours=1)
"""How long the provider's description and its keys are used before they are asked for again."""

_WHAT: Final = "discovery"


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
            raise OidcUnavailable(f"{_WHAT}: describes another issuer")
        has_userinfo = document.get("userinfo_endpoint") is not None
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if not isinstance(methods, list):
            raise OidcUnavailable(f"{_WHAT}: token_endpoint_auth_methods_supported is no list")
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
        raise OidcUnavailable(f"{_WHAT}: {name} is no https URL")
    if issuer.startswith("https:") and not url.startswith("https:"):
        raise OidcUnavailable(f"{_WHAT}: {name} is no https URL")
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
        document = await fetch_document(self._session, self._settings.discovery_url, _WHAT)
        metadata = Metadata.of(document, self._settings.issuer)
        self._kept = now, metadata
        return metadata
