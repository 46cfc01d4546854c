"""The gateway's settings, and what is wrong with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from yarl import URL

from gateway.allowlist import Allowlist
from gateway.key_headers import KeyHeaders
from gateway.sources import Network
from keyauthority.base.http import limits
from keyauthority.base.process.settings import (
    HIGHEST_PORT,
    SettingsError,
    check_client_tls,
    check_server_tls,
    host_and_port,
)
from keyauthority.client import check_authority
from keyauthority.scopes.catalogue import Catalogue, default_catalogue

ON_REVOKE: Final = ("drain", "cut")
BILLING: Final = ("enforce", "observe", "off")
UNPRICED: Final = ("refuse", "default")
HOLDS: Final = ("initial", "full")
EXHAUSTED_STATUSES: Final = (402, 429)

_MAY_BE_ZERO: Final = frozenset(
    {"min_body_rate", "max_refusals", "max_read_on", "drain_delay", "grace"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(limits.Limits):
    """What one client may send and hold. Sizes are bytes, times seconds."""

    # Less is answered 408, once the gateway has waited for the client for `body_rate_grace`.
    min_body_rate: int = 240
    body_rate_grace: float = 10.0
    # More are answered 429, like unknown secrets from an address with more refusals.
    max_requests_per_key: int = 1024
    max_refusals: int = 300
    # Answers that are read on to their usage at a time; others are charged by an estimate.
    max_read_on: int = 256
    # Of a body that is read for its model; a larger one names none.
    max_metered_body_bytes: int = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long the gateway waits for its neighbours, and for its own end. Seconds."""

    # Those for the upstream are answered 504. Clients of such APIs wait 600 s: a model that thinks for
    # long is given up by its client, not by the gateway.
    connect_timeout: float = 5.0
    first_byte_timeout: float = 900.0
    # Also for a client that does not read the upstream's response.
    idle_timeout: float = 900.0
    # A websocket ends after that, whatever passes on it.
    websocket_lifetime: float = 3600.0
    # A request that is to be cut runs on for so long without a verdict on its key, which changed:
    # hardly longer than a verdict from memory might have been acted upon.
    doubt_timeout: float = 4.0
    # The usage of an answer whose client has left follows its end at once: so long it is waited for.
    usage_timeout: float = 5.0
    # For a verdict of the authority. Then the answer is 503.
    verify_timeout: float = 0.5
    drain_delay: float = 0.0
    grace: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The gateway's settings, checked when made: raises `SettingsError`.

    `keyauthority-gateway --help` explains them, by their flags.
    """

    # Port 0 takes any free one. Beyond loopback only with tls_cert and tls_key.
    listen: str
    # Beyond this machine only with tls_ca.
    authority: str
    token_file: Path
    upstream: str
    upstream_key_file: Path | None = None
    tls_ca: Path | None = None
    tls_client_cert: Path | None = None
    tls_client_key: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    # None: the upstream judges scopes.
    scope_rules: Catalogue | None = field(default_factory=default_catalogue)
    pass_header: tuple[str, ...] = ()
    key_header: tuple[str, ...] = ()
    # Whose pages may call from a browser: origins, or `*`.
    cors_origin: tuple[str, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    cache: bool = True
    # Whether websockets under /v1 are forwarded.
    websockets: bool = False
    # One of ON_REVOKE.
    on_revoke: str = "drain"
    # One of BILLING.
    billing: str = "off"
    # The folder of the spools, one for each worker.
    spool: Path | None = None
    # What each keeps of charges that the authority has; None: all of three days.
    spool_archive_bytes: int | None = None
    # One of UNPRICED, of HOLDS, of EXHAUSTED_STATUSES.
    unpriced: str = "refuse"
    hold: str = "initial"
    exhausted_status: int = 402
    workers: int = 1
    # Whether other workers may listen at the same port.
    share_port: bool = False
    metrics_listen: str | None = None
    access_log: bool = True
    # One of LOG_LEVELS.
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
        self._check_headers()
        _check_numbers(self.limits, self.timeouts)
        if self.workers < 1:
            raise SettingsError("--workers must be 1 or more")
        if self.on_revoke not in ON_REVOKE:
            raise SettingsError(f"--on-revoke must be one of {', '.join(ON_REVOKE)}")
        if self.on_revoke == "cut" and not self.cache:
            raise SettingsError(
                "--on-revoke cut needs --cache on: else the gateway does not learn of revocations"
            )
        self._check_billing()

    def _check_headers(self) -> None:
        try:
            key_headers = KeyHeaders(self.key_header)
        except ValueError as error:
            raise SettingsError(f"--key-header {error}") from None
        try:
            Allowlist(self.pass_header, key_headers.names)
        except ValueError as error:
            raise SettingsError(f"--pass-header {error}") from None

    def _check_billing(self) -> None:
        for name, values in (("billing", BILLING), ("unpriced", UNPRICED), ("hold", HOLDS)):
            if getattr(self, name) not in values:
                raise SettingsError(f"--{name} must be one of {', '.join(values)}")
        if self.exhausted_status not in EXHAUSTED_STATUSES:
            raise SettingsError("--exhausted-status must be 402 or 429")
        if self.spool_archive_bytes is not None and self.spool_archive_bytes < 0:
            raise SettingsError("--spool-archive-bytes must be 0 or more")
        if self.billing == "off":
            return
        if not self.cache:
            raise SettingsError(
                f"--billing {self.billing} needs --cache on: else the gateway does not learn of changes"
                " of credits and prices"
            )
        if self.billing == "enforce" and self.spool is None:
            raise SettingsError(
                "--billing enforce needs --spool FOLDER, on a disk that outlives the gateway"
            )


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


def _check_numbers(*groups: Limits | Timeouts) -> None:
    for name, number in (item for group in groups for item in asdict(group).items()):
        if number < 0 or (number == 0 and name not in _MAY_BE_ZERO):
            raise SettingsError(f"--{name.replace('_', '-')} must be more than 0")
