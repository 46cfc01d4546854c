"""`keyauthority serve`: run the authority."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from keyauthority.base.process.settings import LOG_LEVELS, SettingsError
from keyauthority.base.relational.location import Location
from keyauthority.cli.values import DURATION, FILE, SCOPE_RULES, database_option, setting
from keyauthority.config import CHARGES_PER_SECOND, CONNECTIONS, Settings
from keyauthority.scopes.catalogue import default_catalogue
from keyauthority.server import run


@click.command("serve")
@setting(
    "--listen",
    "Where to listen; also unix:/PATH. Beyond loopback only with TLS.",
    metavar="HOST:PORT",
    default="127.0.0.1:50051",
)
@click.option(
    "--data-dir",
    type=FILE,
    help="The folder for the files below and the root token. [default: --data-dir before `serve`]",
)
@database_option
@setting(
    "--allow-async-standby",
    "Accept PostgreSQL standbys without synchronous_standby_names: a failover may then bring "
    "revoked keys back to life.",
    is_flag=True,
)
@setting(
    "--keyring",
    "The file with the peppers. [default: keyring.json in the data directory]",
    type=FILE,
)
@setting("--tls-cert", "Use TLS, with this certificate chain (PEM).", type=FILE)
@setting("--tls-key", "The private key of that certificate (PEM).", type=FILE)
@setting(
    "--tls-client-ca",
    "Refuse clients that have no certificate from the authorities in this file (PEM).",
    type=FILE,
)
@setting("--max-connections", "Connections at once, in each process.", default=CONNECTIONS)
@setting(
    "--max-charges-per-second",
    "Charges that one caller may bring, in each process.",
    default=CHARGES_PER_SECOND,
)
@setting(
    "--scope-rules",
    "What keys with scopes may do, where Envoy asks: the gateways' file. off: the upstream judges scopes.",
    metavar="FILE|off",
    type=SCOPE_RULES,
    default=default_catalogue,
    show_default="the rules that ship",
)
@setting(
    "--audit-retention",
    "How long audit entries are kept: 400d. [default: for ever]",
    type=DURATION,
)
@setting("--metrics-listen", "Serve Prometheus metrics here, in plaintext.", metavar="HOST:PORT")
@setting(
    "--workers",
    "Processes that share the address and the PostgreSQL database. Each further one serves its "
    "metrics at the next port.",
    default=1,
)
@click.option("--share-port", is_flag=True, hidden=True, help="Whether other workers share it.")
@setting(
    "--log-level",
    "The least severe events that are logged.",
    type=click.Choice(LOG_LEVELS),
    default="info",
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    data_dir: Path | None,
    database: Location | None,
    keyring: Path | None,
    **settings: Any,
) -> None:
    """Run the authority until SIGTERM or Ctrl-C."""
    folder: Path = data_dir or ctx.obj.data_dir
    try:
        checked = Settings(
            data_dir=folder,
            database=database or folder / "keyauthority.db",
            keyring=keyring or folder / "keyring.json",
            **settings,
        )
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    ctx.exit(run(checked))
