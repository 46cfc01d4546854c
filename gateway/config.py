"""The gateway's settings, and what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from yarl import URL

from gateway.headers import Allowlist
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

    # The key authority, HOST:PORT or unix:/PATH; several replicas are separated by commas, or behind
    # one name. Beyond this machine only with tls_ca.
    authority: str

    # The file with the service token (role `verifier`) presented to the authority.
    token_file: Path

    # The API that accepted requests go to: scheme, host, and a path that goes before `/v1`.
    upstream: str

    # The file with the upstream's own API key. None: the upstream gets no credential.
    upstream_key_file: Path | None = None

    # PEM file of the CA that the authority's certificate is checked against. None: plaintext.
    tls_ca: Path | None = None

    # PEM files of the certificate chain and private key for an authority that requires them (its
    # --tls-client-ca). None, both: no certificate.
    tls_client_cert: Path | None = None
    tls_client_key: Path | None = None

    # PEM files of the certificate chain and private key that clients see. None, both: plaintext.
    tls_cert: Path | None = None
    tls_key: Path | None = None

    # Scopes that path prefixes require. None: a valid key may call everything.
    require_scope: tuple[ScopeRule, ...] = ()

    # Request header fields that go on to the upstream beside those of `gateway.headers`.
    pass_header: tuple[str, ...] = ()

    # Networks of proxies that name their client in `X-Forwarded-For`.
    trusted_proxies: tuple[Network, ...] = ()

    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)

    # Whether verdicts may come from memory while a lease is held. If not, each is fetched.
    cache: bool = True

    # What happens to requests under way when their key dies: one of ON_REVOKE.
    on_revoke: str = "drain"

    # Processes that share the port.
    workers: int = 1

    # Whether other workers may listen at the same port.
    share_port: bool = False

    # Where Prometheus metrics are served in plaintext, HOST:PORT; further workers take the next
    # ports. None: nowhere.
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
            Allowlist(self.pass_header)
        except ValueError as error:
            raise SettingsError(f"--pass-header {error}") from None
        _check_numbers(self.limits, self.timeouts)
        if self.workers < 1:
            raise SettingsError("--workers must be 1 or more")
        if self.on_revoke not in ON_REVOKE:
            raise SettingsError(f"--on-revoke must be one of {', '.join(ON_REVOKE)}")
        if self.on_revoke == "cut" and not self.cache:
            raise SettingsError(
                "--on-revoke cut needs --cache on: else the gateway does not learn of revocations"
            )
        check_log_level(self.log_level)


def upstream_base(upstream: str) -> str:
    """Returns what stands before `/v1/...` in the upstream's URLs; raises `SettingsError`.

    A trailing `/v1` is dropped, since the base URLs of API clients end so.
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
    for name, number in {**asdict(limits), **asdict(timeouts)}.items():
        if number < 0 or (number == 0 and name not in _MAY_BE_ZERO):
            raise SettingsError(f"--{name.replace('_', '-')} must be more than 0")
