"""Signing in at an OpenID provider: the authorization code flow with PKCE and nonce."""

from gateway.console.oidc.errors import OidcError, OidcRefused, OidcUnavailable
from gateway.console.oidc.flow import Begun, Claims, Flow
from gateway.console.oidc.provider import Provider
from gateway.console.oidc.settings import OidcSettings

__all__ = [
    "Begun",
    "Claims",
    "Flow",
    "OidcError",
    "OidcRefused",
    "OidcSettings",
    "OidcUnavailable",
    "Provider",
]
