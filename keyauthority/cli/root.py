"""`keyauthority`: its options, and the groups behind it, each loaded when it is asked for."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keyauthority.cli.options import Options
from keyauthority.cli.values import DURATION, FILE, holds_secret, is_text

if TYPE_CHECKING:
    from keyauthority.cli.output import Answer

GROUPS: Final = {
    "serve": "Run the authority.",
    "keys": "Issue, change, find and revoke keys.",
    "verify": "Ask whether a secret may act.",
    "workspaces": "Create, suspend and resume workspaces.",
    "callers": "Create and revoke those who may call the authority.",
    "audit": "Read, export and prune the record of who did what.",
    "sessions": "Show who may answer from a cache.",
    "db": "Migrate the database, set how long leases last, put it right after a restore.",
    "peppers": "Add, activate and retire what secrets are hashed with.",
}


class Root(click.Group):
    """Knows its groups by name and help alone, so that `--help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        command: click.Command = importlib.import_module(f"keyauthority.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(GROUPS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(holds_secret(arg) for arg in args):
            raise click.UsageError(
                "an argument holds a secret, which every user of this machine can read there: "
                "secrets are read from standard input or a prompt (and this one is now in your "
                "shell's history)"
            )
        if not all(map(is_text, args)):
            raise click.UsageError("an argument is not UTF-8")
        return super().parse_args(ctx, args)


@click.command(cls=Root)
@click.option("--json", is_flag=True, help="Print one JSON document instead of text for people.")
@click.option(
    "--address",
    metavar="HOST:PORT[,...]",
    envvar="KEYAUTHORITY_ADDRESS",
    default="127.0.0.1:50051",
    show_default=True,
    show_envvar=True,
    help="Where the authority answers; also unix:/PATH. Several replicas separated by commas.",
)
@click.option(
    "--data-dir",
    type=FILE,
    envvar="KEYAUTHORITY_DATA_DIR",
    default=Path("data"),
    show_default=True,
    show_envvar=True,
    help="The authority's folder.",
)
@click.option(
    "--token-file",
    type=FILE,
    envvar="KEYAUTHORITY_TOKEN_FILE",
    show_envvar=True,
    help="The file with the token to call with. [default: root.token in the data directory]",
)
@click.option(
    "--tls-ca",
    type=FILE,
    envvar="KEYAUTHORITY_TLS_CA",
    show_envvar=True,
    help="Speak TLS, and trust the certificates in this PEM file.",
)
@click.option(
    "--tls-client-cert",
    type=FILE,
    envvar="KEYAUTHORITY_TLS_CLIENT_CERT",
    show_envvar=True,
    help="Show this certificate chain (PEM) to an authority that asks for one.",
)
@click.option(
    "--tls-client-key",
    type=FILE,
    envvar="KEYAUTHORITY_TLS_CLIENT_KEY",
    show_envvar=True,
    help="That certificate's private key (PEM).",
)
@click.option(
    "--timeout",
    type=DURATION,
    envvar="KEYAUTHORITY_TIMEOUT",
    default="10s",
    show_default=True,
    show_envvar=True,
    help="How long to wait for each answer.",
)
@click.version_option(package_name="opentoken-keyauthority", message="%(prog)s %(version)s")
@click.pass_context
def root(
    ctx: click.Context,
    json: bool,
    address: str,
    data_dir: Path,
    token_file: Path | None,
    tls_ca: Path | None,
    tls_client_cert: Path | None,
    tls_client_key: Path | None,
    timeout: timedelta,
) -> None:
    """Issue, verify and revoke API keys.

    Options stand before the command: keyauthority --json keys list.
    Exit status: 0 done, 1 refused or failed, 2 usage.
    """
    if token_file is not None and holds_secret(str(token_file)):
        raise click.UsageError(
            "--token-file (KEYAUTHORITY_TOKEN_FILE) must name the file with the token, not hold it"
        )
    ctx.obj = Options(
        json=json,
        address=address,
        data_dir=data_dir,
        token_file=token_file or data_dir / "root.token",
        tls_ca=tls_ca,
        tls_client_cert=tls_client_cert,
        tls_client_key=tls_client_key,
        timeout=timeout,
    )


@root.result_callback()
@click.pass_context
def _show(ctx: click.Context, /, answer: Answer, **_options: Any) -> None:
    options: Options = ctx.obj
    if options.json:
        click.echo(answer.json())
    elif answer.text:
        click.echo(answer.text)
    if answer.note and not options.json:
        click.echo(answer.note, err=True)
    ctx.exit(answer.exit_code)
