"""How options, durations, moments, labels and secrets are written on a command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from zoneinfo import ZoneInfo

import click

from keyauthority.base.relational.location import parse_location
from keyauthority.config import parse_duration
from keyauthority.pricing import amounts
from keyauthority.scopes.catalogue import load_catalogue

Command = TypeVar("Command", bound=Callable[..., Any])
Value = TypeVar("Value")

# Whoever opens a file says why it can't be read or written: that is no error of usage.
FILE: Final = click.Path(readable=False, path_type=Path)

# Far more than any secret: enough for the authority to see that the secret is too long.
_MOST_INPUT: Final = 1 << 16


def setting(flag: str, help_text: str, **attributes: Any) -> Callable[[Command], Command]:
    """Returns an option that a variable may set instead: `--tls-ca`, or KEYAUTHORITY_TLS_CA."""
    variable = f"KEYAUTHORITY{flag.removeprefix('-').replace('-', '_').upper()}"
    shown = {"show_envvar": True, "show_default": True, **attributes}
    return click.option(flag, help=help_text, envvar=variable, **shown)


class Parsed(click.ParamType[Value]):
    """What *parse* makes of a text. The sentence of its `ValueError` is the error of usage."""

    def __init__(self, name: str, parse: Callable[[str], Value]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Value:
        if not isinstance(value, str):
            return cast(Value, value)
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_moment(text: str) -> datetime:
    """Returns the RFC 3339 time as an aware datetime in UTC. Raises `ValueError`, in a sentence."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be a time such as 2027-01-31T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError("lacks its time zone: 2027-01-31T12:00:00Z has one")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is beyond what a calendar holds") from None


def _parse_label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise ValueError("must be KEY=VALUE")
    return key, value


def _parse_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be a time zone of the IANA, such as Europe/Berlin") from None


CREDITS: Final = Parsed("credits", amounts.parse)
DURATION: Final = Parsed("duration", parse_duration)
MOMENT: Final = Parsed("time", parse_moment)
ZONE: Final = Parsed("zone", _parse_zone)
SCOPE_RULES: Final = Parsed("file|off", load_catalogue)
LABEL: Final = Parsed("key=value", _parse_label)

database_option: Final = setting(
    "--database",
    "The SQLite file, or a PostgreSQL URL: postgresql://USER@HOST/NAME. Other users of this machine "
    "can read a password in an argument: use ?passfile=FILE in the URL, PGPASSFILE, or the variable. "
    "[default: keyauthority.db in the data directory]",
    # No error repeats the value: it may hold a password.
    type=Parsed("path|url", parse_location),
)


def read_secret() -> str:
    """Returns the secret from standard input, or from a prompt that doesn't show it."""
    if sys.stdin.isatty():
        secret: str = click.prompt("Secret", hide_input=True, err=True)
        return secret
    try:
        secret = sys.stdin.read(_MOST_INPUT).strip()
        secret.encode()
    except UnicodeError:
        raise click.ClickException("standard input is not text") from None
    if not secret:
        raise click.ClickException(
            "no secret on standard input: pipe one in, or run this in a terminal to be asked"
        )
    return secret


def is_text(argument: str) -> bool:
    """Returns whether *argument* was UTF-8; other bytes stand in it as surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
