"""The command `keyauthority-gateway`: settings by flag, then `GATEWAY_*`, then default."""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
import uvloop

from gateway.app import serve
from gateway.config import (
    BILLING,
    EXHAUSTED_STATUSES,
    HOLDS,
    ON_REVOKE,
    UNPRICED,
    Limits,
    Settings,
    Timeouts,
)
from gateway.cors import parse_origin
from gateway.scope_rules_command import scope_rules, scope_rules_option
from gateway.spool_command import spool
from keyauthority.base.process.lifecycle import StartError
from keyauthority.base.process.settings import LOG_LEVELS, SettingsError
from keyauthority.base.process.telemetry import configure_logging
from keyauthority.base.process.workers import WorkerError, serve_with_workers
from keyauthority.client import SecretFileError, redact

Command = TypeVar("Command", bound=Callable[..., Any])

# An unreadable file is no error of usage: whoever opens it reports it.
_FILE = click.Path(readable=False, path_type=Path)

_LIMITS = {
    "max_header_bytes": "Request line and header fields together.",
    "max_headers": "Header fields of one request.",
    "header_timeout": "Seconds in which the headers must arrive.",
    "max_body_bytes": "Request body.",
    "body_timeout": "Longest silence within a request body, in seconds.",
    "min_body_rate": "Bytes a second that a request body must average; 0: any.",
    "keepalive_timeout": "Seconds that a connection may idle between requests.",
    "send_timeout": "Seconds in which a client must take some of an answer that waits for it.",
    "max_connections": "Client connections at a time.",
    "max_requests_per_key": "Requests of one key that are under way at a time.",
    "max_unread_bytes": "Answers that wait in memory for clients that do not read.",
    "max_metered_body_bytes": "Request body that billing looks at for its model; a larger one names "
    "none.",
    "max_refusals": "Refused secrets a minute from one client address; 0: any, for use behind a "
    "proxy that does not name its clients.",
}
_TIMEOUTS = {
    "connect_timeout": "Seconds to connect to the upstream.",
    "first_byte_timeout": "Seconds without progress to the headers of the upstream's response.",
    "idle_timeout": "Longest silence within a response, in seconds.",
    "verify_timeout": "Seconds in which the authority must give a verdict; then the answer is 503.",
    "websocket_lifetime": "Seconds after which a websocket ends, whatever passes on it.",
    "drain_delay": "Seconds between the signal to stop and the end of accepting connections; "
    "/readyz says no meanwhile.",
    "grace": "Seconds that requests under way get at the stop.",
}


def _numbers(defaults: Limits | Timeouts, helps: dict[str, str]) -> Callable[[Command], Command]:
    def add_options(command: Command) -> Command:
        for name, text in reversed(helps.items()):
            default = getattr(defaults, name)
            flag = "--" + name.replace("_", "-")
            command = click.option(flag, type=type(default), default=default, help=text)(command)
        return command

    return add_options


def _all(parse: Callable[[str], object]) -> Callable[..., tuple[object, ...]]:
    def callback(
        _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
    ) -> tuple[object, ...]:
        try:
            return tuple(map(parse, values))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


@click.group(
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "GATEWAY", "show_default": True},
)
@click.option("--listen", default="127.0.0.1:8080", help="Where clients are served, HOST:PORT.")
@click.option(
    "--authority",
    default="127.0.0.1:50051",
    help="The key authority, HOST:PORT or unix:/PATH; several replicas separated by commas.",
)
@click.option(
    "--token-file",
    type=_FILE,
    help="File with the service token, role verifier, that is presented to the authority.",
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
    help="PEM file of the certificate chain for an authority that requires one.",
)
@click.option("--tls-client-key", type=_FILE, help="PEM file of that certificate's private key.")
@click.option("--upstream", help="URL of the API that accepted requests go to.")
@click.option(
    "--upstream-key-file",
    type=_FILE,
    help="File with the upstream's own API key. Without it the upstream gets no credential.",
)
@click.option(
    "--cache",
    type=click.Choice(["on", "off"]),
    default="on",
    help="Take verdicts from memory while the authority reports every change; off: ask each time.",
)
@click.option(
    "--websockets",
    is_flag=True,
    help="Forward websockets under /v1. They end as their key does only with --on-revoke cut.",
)
@click.option(
    "--on-revoke",
    type=click.Choice(ON_REVOKE),
    default="drain",
    help="Requests under way when their key is revoked: let them finish, or cut them off.",
)
@click.option(
    "--billing",
    type=click.Choice(BILLING),
    default="off",
    help="Hold and charge the credits of the key's workspace for each request; observe: only count "
    "what that would be.",
)
@click.option(
    "--spool",
    type=_FILE,
    help="Folder for what is held and charged until the authority has it, for --billing enforce. On a "
    "disk that outlives the gateway.",
)
@click.option(
    "--spool-archive-bytes",
    type=int,
    help="What each worker's spool keeps of charges that the authority has, for a restore of its books; "
    "all of three days unless given.",
)
@click.option(
    "--unpriced",
    type=click.Choice(UNPRICED),
    default="refuse",
    help="Requests without a price of their own: refuse them, or take the price of all models and "
    "paths (*).",
)
@click.option(
    "--hold",
    type=click.Choice(HOLDS),
    default="initial",
    help="Hold for the first 1,000 tokens of an answer and extend that while it streams, or for all "
    "that the request allows.",
)
@click.option(
    "--exhausted-status",
    type=click.Choice([str(status) for status in EXHAUSTED_STATUSES]),
    default=str(EXHAUSTED_STATUSES[0]),
    help="The status for clients without credits; 429 is for those that look for the code there.",
)
@click.option("--tls-cert", type=_FILE, help="PEM file of the certificate chain clients see.")
@click.option("--tls-key", type=_FILE, help="PEM file of its private key.")
@scope_rules_option
@click.option(
    "--pass-header",
    multiple=True,
    metavar="NAME",
    help="A request header that goes on to the upstream beside those of docs/operations.md; "
    "NAME-* is all that begin so. Repeatable.",
)
@click.option(
    "--key-header",
    multiple=True,
    metavar="NAME",
    help="A header in which a client may send its key, alone, instead of Authorization: x-api-key, "
    "api-key. Repeatable.",
)
@click.option(
    "--cors-origin",
    multiple=True,
    metavar="ORIGIN",
    callback=_all(parse_origin),
    help="An origin whose pages may call from a browser, such as https://app.example.com; * is any. "
    "Keys do not belong in browsers: see docs/operations.md. Repeatable.",
)
@click.option(
    "--trusted-proxies",
    multiple=True,
    metavar="NETWORK",
    callback=_all(ip_network),
    help="Proxies that name their client in X-Forwarded-For: an address or ADDRESS/BITS. "
    "Repeatable.",
)
@click.option(
    "--workers", default=1, help="Processes that share the port, each with a cache of its own."
)
@click.option("--share-port", is_flag=True, hidden=True, help="With other workers.")
@_numbers(Limits(), _LIMITS)
@_numbers(Timeouts(), _TIMEOUTS)
@click.option(
    "--metrics-listen",
    help="Where Prometheus metrics are served, HOST:PORT; each further worker's at the next port.",
)
@click.option(
    "--access-log",
    type=click.Choice(["on", "off"]),
    default="on",
    help="Log each request, without its secret and its query string.",
)
@click.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default="info",
    help="The least severe lines that are logged.",
)
@click.pass_context
def main(context: click.Context, /, **options: Any) -> None:
    """Serve /v1 to holders of valid API keys, by forwarding it to an upstream.

    Every option can be set in the environment too: --token-file as GATEWAY_TOKEN_FILE.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        settings = settings_of(**options)
        configure_logging(settings.log_level, redact)
    except SettingsError as error:
        _exit(2, str(error))
    try:
        if settings.workers > 1:
            code = serve_with_workers(
                "gateway",
                "gateway",
                count=settings.workers,
                listen=settings.listen,
                metrics_listen=settings.metrics_listen,
                upstream=settings.upstream,
            )
            sys.exit(code)
        uvloop.run(serve(settings))
    except (StartError, SecretFileError) as error:
        _exit(1, str(error))
    except WorkerError as error:
        sys.exit(error.code)


main.add_command(spool)
main.add_command(scope_rules)


def settings_of(
    *,
    upstream: str | None,
    token_file: Path | None,
    cache: str,
    access_log: str,
    exhausted_status: str,
    **options: Any,
) -> Settings:
    """Returns the settings that the values of `main`'s *options* say; raises `SettingsError`."""
    if upstream is None:
        raise SettingsError("no upstream: give --upstream URL, or set GATEWAY_UPSTREAM")
    if token_file is None:
        raise SettingsError("no service token: give --token-file, or set GATEWAY_TOKEN_FILE")
    return Settings(
        upstream=upstream,
        token_file=token_file,
        limits=Limits(**{name: options.pop(name) for name in _LIMITS}),
        timeouts=Timeouts(**{name: options.pop(name) for name in _TIMEOUTS}),
        cache=cache == "on",
        access_log=access_log == "on",
        exhausted_status=int(exhausted_status),
        **options,
    )


def _exit(code: int, sentence: str) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(code)
