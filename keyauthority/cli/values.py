"""How durations, moments, labels and secrets are written on a command line."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import click

from keyauthority.base.relational.location import Location, parse_location
from keyauthority.config import parse_duration
from keyauthority.domain.secrets import secret_within

# What can't be read or written is said by whoever tries: it is no matter of how the command was used.
FILE: Final = click.Path(readable=False, path_type=Path)

# Far more than any secret: enough for the authority to see that it is too long.
_MOST_INPUT: Final = 1 << 16
_NO_TEXT: Final = "\udcff"


class _Duration(click.ParamType[timedelta]):
    """`30d`, `12h`, `90m` or `45s`, as a timedelta."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Database(click.ParamType[Location]):
    """The path of a SQLite file, or a PostgreSQL URL. Never repeated: it may hold a password."""

    name = "database"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return "PATH|URL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Location:
        if not isinstance(value, str):
            return cast(Location, value)
        try:
            return parse_location(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Moment(click.ParamType[datetime]):
    """An RFC 3339 time, as an aware datetime."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail("must be a time such as 2027-01-31T12:00:00Z", param, ctx)
        if moment.tzinfo is None:
            self.fail("lacks its time zone: 2027-01-31T12:00:00Z has one", param, ctx)
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            self.fail("is beyond what a calendar holds", param, ctx)


class _Label(click.ParamType[tuple[str, str]]):
    """`KEY=VALUE`, as a pair."""

    name = "key=value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        key, separator, label = value.partition("=")
        if not key or not separator:
            self.fail("must be KEY=VALUE", param, ctx)
        return key, label


DATABASE: Final = _Database()
DATABASE_HELP: Final = (
    "The SQLite file, or a PostgreSQL URL: postgresql://USER@HOST/NAME. Others on this machine see "
    "a password in an argument: use ?passfile=FILE in the URL, PGPASSFILE, or the variable. "
    "[default: keyauthority.db in the data directory]"
)
DURATION: Final = _Duration()
MOMENT: Final = _Moment()
LABEL: Final = _Label()


def read_secret() -> str:
    """The secret from standard input, or from a prompt that doesn't show it."""
    if sys.stdin.isatty():
        secret: str = click.prompt("Secret", hide_input=True, err=True)
        return secret
    try:
        secret = sys.stdin.read(_MOST_INPUT).strip()
    except UnicodeDecodeError:
        secret = _NO_TEXT
    if not is_text(secret):
        raise click.ClickException("what stands on standard input is not text")
    if not secret:
        raise click.ClickException(
            "no secret on standard input: pipe one in, or run this in a terminal to be asked"
        )
    return secret


def holds_secret(text: str) -> bool:
    """Whether there is a key's secret or a caller's token in *text*."""
    return secret_within(text) is not None


def is_text(argument: str) -> bool:
    """Whether *argument* was given in UTF-8; other bytes stand in it as surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True
