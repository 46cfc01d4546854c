"""The command `keyauthority-console`: settings by flag, then `CONSOLE_*`, then default."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import uvloop

from console.app import serve
from console.config import Settings, SignInLimits, public_base
from console.oidc import OidcSettings
from console.paths import url
from console.people import Origin, PeopleError, migrate_people, open_people
from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.process.settings import LOG_LEVELS, SettingsError, host_and_port
from keyauthority.base.process.telemetry import configure_logging
from keyauthority.base.relational.location import Location, parse_location
from keyauthority.base.relational.outages import StorageError
from keyauthority.client import SecretFileError, load_token, redact
from keyauthority.scopes.catalogue import (
    Catalogue,
    ScopeRulesError,
    default_catalogue,
    load_catalogue,
)

# Whoever opens a file reports that it can't be read: that is no error of the command line.
_FILE = click.Path(readable=False, path_type=Path)
_ON_OFF = click.Choice(["on", "off"])
_SIGN_IN = SignInLimits()


@click.group(
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "CONSOLE", "show_default": True},
)
@click.option("--listen", default="127.0.0.1:8081", help="Where browsers are served, HOST:PORT.")
@click.option(
    "--authority",
    default="127.0.0.1:50051",
    help="The key authority, HOST:PORT or unix:/PATH; several replicas separated by commas.",
)
@click.option(
    "--token-file",
    type=_FILE,
    help="File with the service token that is presented to the authority: roles issuer, admin and "
    "biller, created with --acts-for-people.",
)
@click.option(
    "--tls-ca",
    type=_FILE,
    help="PEM file of the CA that the authority's certificate is checked against. Without it: "
    "plaintext, on this machine only.",
)
@click.option(
    "--tls-client-cert",
    type=_FILE,
    help="PEM file of the certificate chain shown to an authority that asks for one.",
)
@click.option("--tls-client-key", type=_FILE, help="PEM file of that certificate's private key.")
@click.option(
    "--database",
    metavar="PATH|URL",
    default="console.db",
    help="The console's own books: a SQLite file, made if missing, or a postgresql:// URL, which "
    "`keyauthority-console migrate` prepares.",
)
@click.option(
    "--public-url",
    default="",
    help="URL of the console for browsers, behind a proxy for instance. [default: by --listen]",
)
@click.option(
    "--api-url",
    default="https://api.opentoken.kr",
    help="URL of the API in the instructions for a new key.",
)
@click.option(
    "--scope-rules",
    metavar="FILE|off",
    help="The gateways' file of scopes, which the forms offer; off: none.  [default: the scopes that ship]",
)
@click.option("--tls-cert", type=_FILE, help="PEM file of the certificate chain browsers see.")
@click.option("--tls-key", type=_FILE, help="PEM file of its private key.")
@click.option(
    "--local-accounts", type=_ON_OFF, default="on", help="Whether people may have passwords here."
)
@click.option("--oidc-issuer", default="", help="URL of the OpenID provider people may sign in at.")
@click.option("--oidc-client-id", default="", help="The console's client id there.")
@click.option(
    "--oidc-client-secret-file",
    type=_FILE,
    help="File with its client secret there. Without it: a public client, protected by PKCE.",
)
@click.option(
    "--oidc-name", default="single sign-on", help="The provider's name on the sign-in button."
)
@click.option(
    "--proxies",
    default=0,
    help="Proxies in front that add to X-Forwarded-For, by which browsers' addresses are known.",
)
@click.option(
    "--max-sign-ins",
    default=_SIGN_IN.client,
    help="Failed sign-ins from one address in 15 minutes; 0: any, behind a proxy that hides addresses.",
)
@click.option("--session-idle", default=12.0, help="Hours after which an unused sign-in ends.")
@click.option("--session-lifetime", default=168.0, help="Hours after which any sign-in ends.")
@click.option(
    "--setup-link-file",
    type=_FILE,
    help="Write the first administrator's one-time link here (0600) instead of printing it.",
)
@click.option("--grace", default=10.0, help="Seconds that running requests get at the stop.")
@click.option(
    "--access-log", type=_ON_OFF, default="on", help="Log each request, without queries and links."
)
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    help="The least severe lines that are logged.",
)
@click.pass_context
def main(ctx: click.Context, /, **options: Any) -> None:
    """Serve the console: people sign in, pick a workspace, create, rotate and revoke its keys.

    Every option can be set in the environment too: --token-file as CONSOLE_TOKEN_FILE.
    """
    ctx.obj = options
    if ctx.invoked_subcommand is not None:
        return
    with _exit_on_error():
        settings = _settings(**options)
        configure_logging(settings.log_level, redact)
        uvloop.run(serve(settings, _print_setup_link))


@main.command()
@click.pass_obj
def migrate(options: dict[str, Any]) -> None:
    """Bring the database to the newest schema. A SQLite file is migrated at each start anyway."""
    with _exit_on_error():
        asyncio.run(migrate_people(_location(options["database"])))


@main.command()
@click.argument("email")
@click.pass_obj
def recover(options: dict[str, Any], email: str) -> None:
    """Print a one-time link with which EMAIL sets a new password, within the hour."""
    with _exit_on_error():
        base = _public_base(options)
        token = asyncio.run(_recovery(_location(options["database"]), email))
        click.echo(base + url("recovery", token=token))


def _public_base(options: dict[str, Any]) -> str:
    if options["local_accounts"] == "off":
        raise SettingsError("--local-accounts off: nobody has a password here")
    _, port = host_and_port(options["listen"], "--listen")
    if not port and not options["public_url"]:
        raise SettingsError("give --public-url: --listen doesn't say which port the console has")
    tls = options["tls_cert"] is not None
    return public_base(options["public_url"], options["listen"], port, tls=tls)


async def _recovery(location: Location, email: str) -> str:
    if isinstance(location, Path) and _is_missing(location):
        raise StorageError(f"there is no database {location}: give --database")
    async with open_people(location, lambda: datetime.now(UTC)) as books:
        person = await books.accounts.by_email(email)
        if person is None:
            raise PeopleError(f"nobody here has the address {email}")
        return (await books.links.new_recovery(Origin("", "", ""), person.id)).reveal()


def _is_missing(path: Path) -> bool:
    try:
        return not path.exists()
    except OSError:
        # The folder is closed to this user, which opening the file reports.
        return False


def _settings(
    *,
    token_file: Path | None,
    database: str,
    local_accounts: str,
    access_log: str,
    scope_rules: str | None,
    max_sign_ins: int,
    session_idle: float,
    session_lifetime: float,
    oidc_issuer: str,
    oidc_client_id: str,
    oidc_client_secret_file: Path | None,
    oidc_name: str,
    **options: Any,
) -> Settings:
    if token_file is None:
        raise SettingsError("no service token: give --token-file, or set CONSOLE_TOKEN_FILE")
    return Settings(
        token_file=token_file,
        database=_location(database),
        local_accounts=local_accounts == "on",
        access_log=access_log == "on",
        scope_rules=_catalogue(scope_rules),
        sign_in=SignInLimits(client=max_sign_ins),
        session_idle=_hours(session_idle, "--session-idle"),
        session_lifetime=_hours(session_lifetime, "--session-lifetime"),
        oidc=_oidc(oidc_issuer, oidc_client_id, oidc_client_secret_file, oidc_name),
        **options,
    )


def _location(text: str) -> Location:
    try:
        return parse_location(text)
    except ValueError as error:
        raise SettingsError(f"--database {error}") from None


def _catalogue(setting: str | None) -> Catalogue:
    try:
        return default_catalogue() if setting is None else load_catalogue(setting) or ()
    except ScopeRulesError as error:
        raise SettingsError(f"--scope-rules {error}") from None


def _hours(number: float, flag: str) -> timedelta:
    try:
        return timedelta(hours=number)
    except (ValueError, OverflowError):
        raise SettingsError(f"{flag} {number} is no number of hours") from None


def _oidc(issuer: str, client_id: str, secret_file: Path | None, name: str) -> OidcSettings | None:
    if not issuer:
        if client_id or secret_file is not None:
            raise SettingsError("--oidc-client-id and its secret need --oidc-issuer")
        return None
    secret = load_token(secret_file) if secret_file is not None else None
    try:
        return OidcSettings(issuer, client_id, secret, name)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _print_setup_link(link: str) -> None:
    click.echo(
        "This console has no administrator yet. To become the first, open this link; it works once, "
        f"within a day:\n\n  {link}\n"
    )
    sys.stdout.flush()


@contextmanager
def _exit_on_error() -> Iterator[None]:
    try:
        yield
    except (SettingsError, StartError, SecretFileError, StorageError, PeopleError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, SettingsError) else 1)
