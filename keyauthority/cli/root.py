"""`keyauthority`: its options, and its groups, each loaded when a command line names it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem

from keyauthority.cli.faults import asks_for_json, errors_as_json
from keyauthority.cli.options import Options, add_common_options, common_options
from keyauthority.cli.values import is_text
from keyauthority.domain.secrets import secret_within

if TYPE_CHECKING:
    from keyauthority.cli.output import Answer

GROUPS: Final = {
    "serve": "Run the authority.",
    "keys": "Issue, change, find and revoke keys.",
    "verify": "Ask whether a secret is accepted.",
    "ledger": "Top up, adjust and refund credits, and read and prove the ledger.",
    "prices": "Set, import and list what requests cost.",
    "workspaces": "Create, rename, suspend and resume workspaces.",
    "callers": "Create and revoke those who may call the authority.",
    "audit": "Read, export and prune the record of who did what.",
    "status": "Show whether the authority answers, and what it is busy with.",
    "whoami": "Show who the token is, and what it may do.",
    "doctor": "Look for what is wrong with this machine's settings, and say what to mend.",
    "sessions": "List the verifiers that may answer from their caches.",
    "db": "Migrate the database, set the length of leases, begin an epoch after a restore.",
    "peppers": "Add, activate and retire what secrets are hashed with.",
    "verifier-check": "Check a verifier that is written in another language.",
    "completion": "Print what makes a shell complete commands and options.",
}

_JSON: Final = "keyauthority.cli.json"


class Root(click.Group):
    """Knows the names and the help of its groups, so that `--help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        module = f"keyauthority.cli.{cmd_name.replace('-', '_')}"
        command: click.Command = importlib.import_module(module).command
        add_common_options(self, command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # Without loading them, as click would.
        names = [name for name in GROUPS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=GROUPS[name]) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(GROUPS.items()))

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        wanted = asks_for_json(args)
        with errors_as_json(wanted):
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[_JSON] = wanted
        return context

    def invoke(self, ctx: click.Context) -> Any:
        with errors_as_json(ctx.meta[_JSON]):
            return super().invoke(ctx)

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
@common_options
@click.version_option(package_name="opentoken-keyauthority", message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context, /, token_file: Path | None, **options: Any) -> None:
    """Issue, verify and revoke API keys.

    The options below may stand anywhere on the line: keyauthority keys list --json.

    Exit status: 0 done, 1 refused or failed, 2 usage. With --json an error is one document, too, on
    standard error.
    """
    ctx.obj = Options(named_token_file=token_file, **options)


@root.result_callback()
@click.pass_obj
def _print(options: Options, /, answer: Answer, **_options: Any) -> None:
    if text := answer.printed(options):
        click.echo(text)
    if answer.note and not (options.json or options.quiet):
        click.echo(answer.note, err=True)
    click.get_current_context().exit(answer.exit_code)
