"""The options of every command: which authority is called, and how its answers are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from keyauthority.cli.values import DURATION, FILE, setting
from keyauthority.domain.secrets import secret_within

Command = TypeVar("Command", bound=Callable[..., Any])

# What a command that calls no authority knows of these.
_PRINTING: Final = ("json", "quiet")
_ALONE: Final = {
    **dict.fromkeys(("serve", "verifier-check", "completion"), _PRINTING),
    "db": (*_PRINTING, "data_dir"),
}


@dataclass(frozen=True, slots=True)
class Options:
    """The values of these options. `named_token_file` is None for the one in the data directory."""

    json: bool
    quiet: bool
    address: str
    data_dir: Path
    named_token_file: Path | None
    tls_ca: Path | None
    tls_client_cert: Path | None
    tls_client_key: Path | None
    timeout: timedelta

    @property
    def token_file(self) -> Path:
        """The file with the token to call with."""
        return self.named_token_file or self.data_dir / "root.token"


def _no_secret(_context: click.Context, _option: click.Parameter, file: Path | None) -> Path | None:
    if file is not None and secret_within(str(file)):
        raise click.UsageError(
            "--token-file (KEYAUTHORITY_TOKEN_FILE) must name the file with the token, not hold it"
        )
    return file


_OPTIONS: Final = (
    click.option(
        "--json",
        is_flag=True,
        help="Print one JSON document instead of text for people; errors, too.",
    ),
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        help="Print ids, new secrets and what was asked for, and no sentences.",
    ),
    setting(
        "--address",
        "Where the authority listens; also unix:/PATH. Several replicas are separated by commas.",
        metavar="HOST:PORT[,...]",
        default="127.0.0.1:50051",
    ),
    setting("--data-dir", "The authority's folder.", type=FILE, default=Path("data")),
    setting(
        "--token-file",
        "The file with the token to call with. [default: root.token in the data directory]",
        type=FILE,
        callback=_no_secret,
    ),
    setting(
        "--tls-ca", "Use TLS, and trust the certificate authorities in this file (PEM).", type=FILE
    ),
    setting("--tls-client-cert", "The client's certificate chain (PEM).", type=FILE),
    setting("--tls-client-key", "The private key of that certificate (PEM).", type=FILE),
    setting("--timeout", "How long to wait for each answer.", type=DURATION, default="10s"),
)


def common_options(command: Command) -> Command:
    """Adds these options, with their variables and defaults."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def add_common_options(root: click.Command, group: click.Command) -> None:
    """Lets *group* and all that it holds take the options of *root* too, but those that it has.

    There they have neither variables nor defaults: what stands before the group is kept.
    """
    names = _ALONE.get(group.name or "")
    options = [one for one in root.params if isinstance(one, click.Option) and one.expose_value]
    _add([one for one in options if names is None or one.name in names], group)


def _add(options: list[click.Option], command: click.Command) -> None:
    there = {flag for param in command.params for flag in param.opts}
    command.params.extend(_anywhere(one) for one in options if not there.intersection(one.opts))
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _add(options, subcommand)


def _anywhere(option: click.Option) -> click.Option:
    return click.Option(
        option.opts,
        type=option.type,
        is_flag=option.is_flag,
        metavar=option.metavar,
        help=option.help,
        hidden=option.name not in _PRINTING,
        expose_value=False,
        callback=_replace,
    )


def _replace(context: click.Context, param: click.Parameter, value: Any) -> None:
    if value is None or value is False:
        return
    if param.name == "token_file":
        value = _no_secret(context, param, value)
    name = "named_token_file" if param.name == "token_file" else str(param.name)
    options = replace(context.obj, **{name: value})
    # The contexts of the groups, too: the root's prints the answer.
    at: click.Context | None = context
    while at is not None:
        at.obj = options
        at = at.parent
