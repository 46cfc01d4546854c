"""`keyauthority`: its options, and its groups, each loaded when a command line names it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keyauthority.cli.values import DURATION, FILE, is_text, setting
from keyauthority.domain.secrets import secret_within

if TYPE_CHECKING:
    from keyauthority.cli.output import Answer

GROUPS: Final = {
    "serve": "Run the authority.",
    "keys": "Issue, change, find and revoke keys.",
    "verify": "Ask whether a secret is accepted.",
    "ledger": "Top up, adjust and refund credits, and read and prove the ledger.",
    "prices": "Set, import and list what requests cost.",
    "workspaces": "Create, suspend and resume workspaces.",
    "callers": "Create and revoke those who may call the authority.",
    "audit": "Read, export and prune the record of who did what.",
    "sessions": "List the verifiers that may answer from their caches.",
    "db": "Migrate the database, set the length of leases, begin an epoch after a restore.",
    "peppers": "Add, activate and retire what secrets are hashed with.",
    "verifier-check": "Check a verifier that is written in another language.",
}


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the group: the form of answers, and which authority to call by which token."""

    json: bool
    address: str
    data_dir: Path
    token_file: Path
    tls_ca: Path | None
    tls_client_cert: Path | None
    tls_client_key: Path | None
    timeout: timedelta


class Root(click.Group):
    """Knows the names and the help of its groups, so that `--help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        module = f"keyauthority.cli.{cmd_name.replace('-', '_')}"
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(GROUPS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if any(map(secret_within, args)):
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
@setting(
    "--address",
    "Where the authority listens; also unix:/PATH. Several replicas are separated by commas.",
    metavar="HOST:PORT[,...]",
    default="127.0.0.1:50051",
)
@setting("--data-dir", "The authority's folder.", type=FILE, default=Path("data"))
@setting(
    "--token-file",
    "The file with the token to call with. [default: root.token in the data directory]",
    type=FILE,
)
@setting(
    "--tls-ca", "Use TLS, and trust the certificate authorities in this file (PEM).", type=FILE
)
@setting("--tls-client-cert", "The client's certificate chain (PEM).", type=FILE)
@setting("--tls-client-key", "The private key of that certificate (PEM).", type=FILE)
@setting("--timeout", "How long to wait for each answer.", type=DURATION, default="10s")
@click.version_option(package_name="opentoken-keyauthority", message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context, /, data_dir: Path, token_file: Path | None, **options: Any) -> None:
    """Issue, verify and revoke API keys.

    Options stand before the command: keyauthority --json keys list.
    Exit status: 0 done, 1 refused or failed, 2 usage.
    """
    if token_file is not None and secret_within(str(token_file)):
        raise click.UsageError(
            "--token-file (KEYAUTHORITY_TOKEN_FILE) must name the file with the token, not hold it"
        )
    token_file = token_file or data_dir / "root.token"
    ctx.obj = Options(data_dir=data_dir, token_file=token_file, **options)


@root.result_callback()
@click.pass_obj
def _print(options: Options, /, answer: Answer, **_options: Any) -> None:
    if options.json:
        click.echo(answer.json())
    elif answer.text:
        click.echo(answer.text)
    if answer.note and not options.json:
        click.echo(answer.note, err=True)
    click.get_current_context().exit(answer.exit_code)
