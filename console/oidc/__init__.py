"""Signing in at an OpenID provider: the authorization code flow with PKCE and nonce."""

from console.oidc.fetch import OidcError, OidcRefused, OidcUnavailable, provider_session
from console.oidc.flow import Claims, Flow, Redirect
from console.oidc.provider import Provider
from console.oidc.settings import OidcSettings

__all__ = [
    "Claims",
    "Flow",
    "OidcError",
    "OidcRefused",
    "OidcSettings",
    "OidcUnavailable",
    "Provider",
    "Redirect",
    "provider_session",
]
