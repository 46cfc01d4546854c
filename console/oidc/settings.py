"""The OpenID provider that people sign in at, and the console as its client."""

from __future__ import annotations

from dataclasses import dataclass

from yarl import URL

from keyauthority.base.process.settings import is_local
from keyauthority.client import Secret


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The settings of one provider. Raises ValueError, with a sentence, for impossible ones.

    `issuer` must equal the provider's letter by letter. Without `client_secret` the console is a
    public client, which PKCE alone protects. People read `name`.
    """

    issuer: str
    client_id: str
    client_secret: Secret | None
    name: str
    scopes: tuple[str, ...] = ("openid", "email", "profile")

    def __post_init__(self) -> None:
        if not is_safe(self.issuer):
            raise ValueError("the OIDC issuer must be an https URL, or http on loopback")
        if self.issuer != self.issuer.partition("?")[0].partition("#")[0]:
            raise ValueError("the OIDC issuer must have neither query nor fragment")
        if not self.client_id:
            raise ValueError("the OIDC client id must not be empty")
        if "openid" not in self.scopes:
            raise ValueError("the OIDC scopes must include openid")

    @property
    def discovery_url(self) -> str:
        """The URL of the provider's description."""
        return self.issuer.removesuffix("/") + "/.well-known/openid-configuration"


def is_safe(text: str) -> bool:
    """Returns whether *text* is an https URL, or http on loopback, without user and password."""
    try:
        url = URL(text)
        host, port = url.host_subcomponent, url.port
    except ValueError:
        return False
    if not host or url.user is not None or url.password is not None:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_local(f"{host}:{port}"))
