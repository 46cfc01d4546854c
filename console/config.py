"""The console's settings, and the refusal of impossible ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from yarl import URL

from console.oidc import OidcSettings
from keyauthority.base.http.limits import Limits
from keyauthority.base.process.settings import (
    SettingsError,
    check_client_tls,
    check_server_tls,
    host_and_port,
    is_local,
)
from keyauthority.base.relational.location import Location
from keyauthority.client import check_authority
from keyauthority.scopes.catalogue import Catalogue, default_catalogue

LIMITS: Final = Limits(
    max_header_bytes=16 * 1024,
    max_body_bytes=64 * 1024,
    body_timeout=10.0,
    send_timeout=20.0,
    max_connections=1024,
)
"""The limits of one browser: pages and forms, nothing larger."""

_LONGEST_SESSION: Final = timedelta(days=400)
"""Browsers keep no cookie for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLimits:
    """Failed sign-ins within `per` before further ones have to wait."""

    # For one e-mail address from one client address: a person who mistypes.
    pair: int = 5
    # From one client address. 0: any number, behind a proxy that hides clients' addresses.
    client: int = 30
    # For one e-mail address: so many that nobody can easily lock another person out.
    email: int = 100
    per: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The console's settings, as `--help` explains them. Raises `SettingsError` for impossible ones."""

    # HOST:PORT; port 0 takes any free one. Beyond loopback only with tls_cert and tls_key.
    listen: str
    # Beyond this machine only with tls_ca.
    authority: str
    token_file: Path
    # The file of a SQLite database, made if missing, or a PostgreSQL database.
    database: Location
    # Scheme, host and port. Empty: http(s)://LISTEN.
    public_url: str = ""
    # Without `/v1`.
    api_url: str = "https://api.opentoken.kr"
    # The scopes that the forms offer.
    scope_rules: Catalogue = field(default_factory=default_catalogue)
    # The files of certificates and keys are PEM. None: plaintext, and no certificate of its own.
    tls_ca: Path | None = None
    tls_client_cert: Path | None = None
    tls_client_key: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    # Whether people may have passwords here.
    local_accounts: bool = True
    # The OpenID provider. None: people sign in with passwords only.
    oidc: OidcSettings | None = None
    # The number of proxies in front, each of which adds to `X-Forwarded-For`.
    proxies: int = 0
    # A sign-in ends when it was unused for so long, and in any case after `session_lifetime`.
    session_idle: timedelta = timedelta(hours=12)
    session_lifetime: timedelta = timedelta(days=7)
    # None: the link is printed.
    setup_link_file: Path | None = None
    sign_in: SignInLimits = field(default_factory=SignInLimits)
    # Seconds that running requests get at the stop.
    grace: float = 10.0
    access_log: bool = True
    log_level: str = "info"

    def __post_init__(self) -> None:
        host_and_port(self.listen, "--listen")
        check_server_tls(self.listen, self.tls_cert, self.tls_key, "passwords", "127.0.0.1")
        check_client_tls(self.tls_ca, self.tls_client_cert, self.tls_client_key)
        check_authority(self.authority, self.tls_ca, "would send keys")
        if self.public_url:
            _check_url(self.public_url, "--public-url")
        _check_url(self.api_url, "--api-url")
        if not self.local_accounts and self.oidc is None:
            raise SettingsError(
                "--local-accounts off leaves no way to sign in: give --oidc-issuer too"
            )
        if not timedelta() < self.session_idle <= self.session_lifetime:
            raise SettingsError(
                "--session-idle must be more than nothing, at most --session-lifetime"
            )
        if self.session_lifetime > _LONGEST_SESSION:
            raise SettingsError("--session-lifetime is at most 9600 hours: 400 days")
        numbers = {
            "--proxies": self.proxies,
            "--grace": self.grace,
            "--max-sign-ins": self.sign_in.client,
        }
        for flag, number in numbers.items():
            # Not `number < 0`, which NaN would pass.
            if not number >= 0:
                raise SettingsError(f"{flag} can't be negative")

    def public(self, port: int) -> str:
        """Returns the URL of the console that listens at *port*, without a slash at the end."""
        tls = self.tls_cert is not None
        return public_base(self.public_url, self.listen, port, tls=tls)


def public_base(public_url: str, listen: str, port: int, *, tls: bool) -> str:
    """Returns *public_url*, or the URL of the listening address, without a slash at the end."""
    if public_url:
        return public_url.rstrip("/")
    host, _ = host_and_port(listen, "--listen")
    return str(URL.build(scheme="https" if tls else "http", host=host, port=port)).rstrip("/")


def _check_url(text: str, flag: str) -> None:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError(f"{flag} must be a URL such as https://console.example.com")
    if url.user or url.password or url.query_string or url.fragment or url.path not in ("", "/"):
        raise SettingsError(f"{flag} must be scheme, host and port, nothing more")
    if url.scheme == "http" and not is_local(f"{url.host}:0"):
        raise SettingsError(f"{flag} must be https:// unless it is on this machine")
