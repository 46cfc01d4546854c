"""What the gateway is told at its start, and the refusal of what cannot be right."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from yarl import URL

from gateway.headers import Passing
from gateway.limits import Limits, Timeouts
from gateway.paths import ScopeRule
from gateway.sources import Network
from keyauthority.base.process.settings import (
    HIGHEST_PORT,
    SettingsError,
    check_client_tls,
    check_log_level,
    check_server_tls,
    host_and_port,
)
from keyauthority.client import check_authority

ON_REVOKE: Final = ("drain", "cut")

_MAY_BE_ZERO: Final = frozenset({"min_body_rate", "max_refusals", "drain_delay", "grace"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The gateway's settings, checked when made: raises `SettingsError`."""

    # Where clients are served, HOST:PORT; port 0 takes any free one. Beyond loopback only with
    # tls_cert and tls_key.
    listen: str

    # The key authority, HOST:PORT or unix:/PATH; several replicas separated by commas, or behind one
    # name. Beyond this machine only with tls_ca.
    authority: str

    # The file with the service token (role `verifier`) presented to the authority.
    token_file: Path

    # The API that accepted requests go to: scheme, host, and a path that goes before `/v1`.
    upstream: str

    # The file with the upstream's own API key. None: the upstream gets no credential.
    upstream_key_file: Path | None = None

    # PEM file of the CA that the authority's certificate is checked against. None: plaintext.
    tls_ca: Path | None = None

    # PEM files of the certificate chain and private key shown to an authority that connects nobody
    # without (its --tls-client-ca). None, both: none is shown.
    tls_client_cert: Path | None = None
    tls_client_key: Path | None = None

    # PEM files of the certificate chain and private key that clients see. None, both: plaintext.
    tls_cert: Path | None = None
    tls_key: Path | None = None

    # Scopes that path prefixes ask for. None: a valid key may call everything.
    require_scope: tuple[ScopeRule, ...] = ()

    # Request header fields that go on to the upstream beside those of `gateway.headers`.
    pass_header: tuple[str, ...] = ()

    # Networks of proxies that say who their client is, by `X-Forwarded-For`.
    trusted_proxies: tuple[Network, ...] = ()

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)

    # Whether verdicts may come from memory while a lease is held. If not, each is asked for.
    cache: bool = True

    # What becomes of requests under way when their key dies: one of ON_REVOKE.
    on_revoke: str = "drain"

    # Processes that share the port.
    workers: int = 1

    # Whether others may listen at the same port: so it is with workers, among themselves.
    share_port: bool = False

    # Where Prometheus metrics are served in plaintext, HOST:PORT. None: nowhere. The
    # second worker serves its own at the next port, and so on.
    metrics_listen: str | None = None

    # Whether each request is logged, without its secret and its query string.
    access_log: bool = True

    # The least severe lines that are logged: one of LOG_LEVELS.
    log_level: str = "info"

    def __post_init__(self) -> None:
        host_and_port(self.listen, "--listen")
        if self.metrics_listen is not None:
            _, port = host_and_port(self.metrics_listen, "--metrics-listen")
            if port + self.workers - 1 > HIGHEST_PORT:
                raise SettingsError(
                    f"--metrics-listen {self.metrics_listen} leaves no ports for all --workers"
                )
        check_server_tls(self.listen, self.tls_cert, self.tls_key, "keys", "127.0.0.1")
        check_client_tls(self.tls_ca, self.tls_client_cert, self.tls_client_key)
        check_authority(self.authority, self.tls_ca, "would be sent keys")
        upstream_base(self.upstream)
        try:
            Passing(self.pass_header)
        except ValueError as error:
            raise SettingsError(f"--pass-header {error}") from None
        _check_numbers(self.limits, self.timeouts)
        if self.workers < 1:
            raise SettingsError("--workers must be 1 or more")
        if self.on_revoke not in ON_REVOKE:
            raise SettingsError(f"--on-revoke must be one of {', '.join(ON_REVOKE)}")
        if self.on_revoke == "cut" and not self.cache:
            raise SettingsError(
                "--on-revoke cut needs --cache on: without it nobody tells that a key was revoked"
            )
        check_log_level(self.log_level)


def upstream_base(upstream: str) -> str:
    """Return what stands before `/v1/...` in the upstream's URLs; raise `SettingsError`.

    A trailing `/v1` is not part of it, since the base URLs that API clients are given end so.
    """
    try:
        url = URL(upstream)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise SettingsError("--upstream must be a URL such as https://api.example.com")
    if url.user or url.password or url.query_string or url.fragment:
        raise SettingsError("--upstream must have no user, query or fragment")
    return str(url).rstrip("/").removesuffix("/v1").rstrip("/")


def _check_numbers(limits: Limits, timeouts: Timeouts) -> None:
    for group in (limits, timeouts):
        for limit in fields(group):
            number, flag = getattr(group, limit.name), "--" + limit.name.replace("_", "-")
            if number < 0 or (number == 0 and limit.name not in _MAY_BE_ZERO):
                raise SettingsError(f"{flag} must be more than 0")
