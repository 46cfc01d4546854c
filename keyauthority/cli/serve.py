"""`keyauthority serve`: run the authority."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from keyauthority.base.process.settings import LOG_LEVELS, SettingsError
from keyauthority.base.relational.location import Location
from keyauthority.cli.options import Options
from keyauthority.cli.values import DATABASE, DATABASE_HELP, DURATION, FILE
from keyauthority.config import CONNECTIONS, Settings
from keyauthority.server import run


@click.command("serve")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    envvar="KEYAUTHORITY_LISTEN",
    default="127.0.0.1:50051",
    show_default=True,
    show_envvar=True,
    help="Where to listen; also unix:/PATH. Beyond loopback only with TLS.",
)
@click.option(
    "--data-dir",
    type=FILE,
    help="The folder for the files below and the root token. [default: the one before `serve`]",
)
@click.option(
    "--database",
    type=DATABASE,
    envvar="KEYAUTHORITY_DATABASE",
    show_envvar=True,
    help=DATABASE_HELP,
)
@click.option(
    "--allow-async-standby",
    is_flag=True,
    envvar="KEYAUTHORITY_ALLOW_ASYNC_STANDBY",
    show_envvar=True,
    help="Accept PostgreSQL standbys without synchronous_standby_names: a failover may then bring "
    "revoked keys back to life.",
)
@click.option(
    "--keyring",
    type=FILE,
    envvar="KEYAUTHORITY_KEYRING",
    show_envvar=True,
    help="The file with the peppers. [default: keyring.json in the data directory]",
)
@click.option(
    "--tls-cert",
    type=FILE,
    envvar="KEYAUTHORITY_TLS_CERT",
    show_envvar=True,
    help="Answer TLS with this certificate chain (PEM).",
)
@click.option(
    "--tls-key",
    type=FILE,
    envvar="KEYAUTHORITY_TLS_KEY",
    show_envvar=True,
    help="The certificate's private key (PEM).",
)
@click.option(
    "--tls-client-ca",
    type=FILE,
    envvar="KEYAUTHORITY_TLS_CLIENT_CA",
    show_envvar=True,
    help="Connect nobody without a certificate that comes from these (PEM).",
)
@click.option(
    "--max-connections",
    default=CONNECTIONS,
    show_default=True,
    envvar="KEYAUTHORITY_MAX_CONNECTIONS",
    show_envvar=True,
    help="Connections at once, in each process.",
)
@click.option(
    "--audit-retention",
    type=DURATION,
    envvar="KEYAUTHORITY_AUDIT_RETENTION",
    show_envvar=True,
    help="How long audit entries are kept: 400d. [default: for ever]",
)
@click.option(
    "--metrics-listen",
    metavar="HOST:PORT",
    envvar="KEYAUTHORITY_METRICS_LISTEN",
    show_envvar=True,
    help="Serve Prometheus metrics here, in plaintext.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    envvar="KEYAUTHORITY_WORKERS",
    show_envvar=True,
    help="Processes that share the address and the PostgreSQL database; the metrics of each further "
    "one are at the next port.",
)
@click.option("--share-port", is_flag=True, hidden=True, help="With other workers.")
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    envvar="KEYAUTHORITY_LOG_LEVEL",
    default="info",
    show_default=True,
    show_envvar=True,
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    listen: str,
    data_dir: Path | None,
    database: Location | None,
    allow_async_standby: bool,
    keyring: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    max_connections: int,
    audit_retention: timedelta | None,
    metrics_listen: str | None,
    workers: int,
    share_port: bool,
    log_level: str,
) -> None:
    """Run the authority until it is told to stop (SIGTERM, Ctrl-C)."""
    options: Options = ctx.obj
    folder = data_dir or options.data_dir
    try:
        settings = Settings(
            listen=listen,
            data_dir=folder,
            database=database or folder / "keyauthority.db",
            keyring=keyring or folder / "keyring.json",
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_client_ca=tls_client_ca,
            max_connections=max_connections,
            audit_retention=audit_retention,
            allow_async_standby=allow_async_standby,
            metrics_listen=metrics_listen,
            workers=workers,
            share_port=share_port,
            log_level=log_level,
        )
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    ctx.exit(run(settings))
