"""The authority's settings, and the refusal of settings that can't be right."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from keyauthority.base.process.settings import (
    SettingsError,
    check_address,
    check_server_tls,
    host_and_port,
)
from keyauthority.base.relational.location import Location
from keyauthority.scopes.catalogue import Catalogue, default_catalogue

CONNECTIONS: Final = 12_000
"""The default of connections at once: for ten thousand verifiers, and others."""

CHARGES_PER_SECOND: Final = 50_000
"""The default of charges a second by one caller: more than one process enters."""

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_LONGEST: Final = timedelta(days=36_500)
_is_duration = re.compile(r"([0-9]{1,12})(ms|[dhms])").fullmatch


@dataclass(frozen=True, slots=True)
class Settings:
    """The authority's settings, checked by the constructor: raises `SettingsError`."""

    # Where the gRPC services listen: HOST:PORT, or unix:/PATH for a Unix socket. Port 0 is any free
    # port. Beyond loopback only with tls_cert and tls_key.
    listen: str

    # The folder that the authority keeps its files in; created if missing. Its root token is here.
    data_dir: Path

    # The SQLite file, created if missing, with its journal beside it; or the PostgreSQL database,
    # which `keyauthority db migrate` has migrated.
    database: Location

    # The file with the peppers; created with an empty database, and never otherwise.
    keyring: Path

    # The certificate chain and private key, PEM, of the gRPC services. Without both: plaintext.
    tls_cert: Path | None = None
    tls_key: Path | None = None

    # The certificates, PEM, of the authorities that clients' certificates must be of (mTLS). None:
    # clients need no certificate.
    tls_client_ca: Path | None = None

    # How many connections each process has at once. More wait unaccepted or are closed.
    max_connections: int = CONNECTIONS

    # How many charges a second one caller may bring, to each process.
    max_charges_per_second: int = CHARGES_PER_SECOND

    # What keys with scopes may do, where Envoy asks about requests. None: the upstream judges scopes.
    scope_rules: Catalogue | None = field(default_factory=default_catalogue)

    # How long audit entries are kept. None: for ever.
    audit_retention: timedelta | None = None

    # Where Prometheus metrics are served in plaintext, HOST:PORT; nothing in them is secret.
    # None: nowhere.
    metrics_listen: str | None = None

    # Whether to serve although standbys of the PostgreSQL database may lack confirmed changes: then a
    # failover may bring revoked keys back to life.
    allow_async_standby: bool = False

    # How many processes share the address; more than one only with PostgreSQL.
    workers: int = 1

    # Whether this process is one of several workers.
    share_port: bool = False

    # The least severe lines that are logged: one of LOG_LEVELS.
    log_level: str = "info"

    def __post_init__(self) -> None:
        check_address(self.listen, "--listen")
        self._check_workers()
        if self.max_connections < 1:
            raise SettingsError("--max-connections must be 1 or more")
        if self.max_charges_per_second < 1:
            raise SettingsError("--max-charges-per-second must be 1 or more")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise SettingsError("--tls-client-ca needs --tls-cert and --tls-key")
        check_server_tls(
            self.listen,
            self.tls_cert,
            self.tls_key,
            "tokens and secrets",
            "127.0.0.1 or unix:/PATH",
        )
        if self.audit_retention is not None and self.audit_retention <= timedelta():
            raise SettingsError("--audit-retention must be more than nothing")
        if self.metrics_listen is not None:
            host_and_port(self.metrics_listen, "--metrics-listen")

    def _check_workers(self) -> None:
        if self.workers < 1:
            raise SettingsError("--workers must be 1 or more")
        if self.workers > 1 and isinstance(self.database, Path):
            raise SettingsError(
                "--workers needs PostgreSQL: only one process may use a SQLite file at a time"
            )
        if self.workers > 1 and self.listen.startswith("unix:"):
            raise SettingsError("--workers can't share a Unix socket: give --listen HOST:PORT")

    @property
    def root_token(self) -> Path:
        """The file that the root token is written to at the first start."""
        return self.data_dir / "root.token"


def parse_duration(text: str) -> timedelta:
    """Parses `30d`, `12h`, `90m`, `45s` or `500ms`; raises ValueError otherwise, and over 100 years."""
    match = _is_duration(text)
    if match is None:
        raise ValueError("must be a number and d, h, m or s, for instance 30d or 12h")
    number, unit = match.groups()
    try:
        duration = timedelta(**{_UNITS[unit]: int(number)})
    except OverflowError:
        duration = timedelta.max
    if duration > _LONGEST:
        raise ValueError(f"must be at most {_LONGEST.days}d")
    return duration
