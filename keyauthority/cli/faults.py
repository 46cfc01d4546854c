"""What commands fail with, and the document that stands for it under `--json`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final

import click
from click.exceptions import NoArgsIsHelpError

_USAGE: Final = 2


class Fault(click.ClickException):
    """A failure that programs can tell apart by *code*; *details* stand beside it in the document."""

    def __init__(
        self, message: str, code: str = "FAILED", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or {}


class _Document(click.ClickException):
    # click calls `show`, and exits with `exit_code`.

    def __init__(self, message: str, code: str, details: Mapping[str, Any], exit_code: int) -> None:
        super().__init__(message)
        # click declares it for the class, and reads it of the error.
        self.exit_code = exit_code  # type: ignore[misc]
        self._error = {"message": message, "code": code, **details, "exit_code": exit_code}

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(json.dumps({"error": self._error}, indent=2), file=file, err=True)


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Returns whether `--json` is among *arguments*, which may be too wrong to be parsed."""
    stop = arguments.index("--") if "--" in arguments else None
    return "--json" in arguments[:stop]


@contextmanager
def errors_as_json(wanted: bool) -> Iterator[None]:
    """If *wanted*, what fails within is printed as one JSON document, on standard error."""
    try:
        yield
    except (click.ClickException, click.Abort, KeyboardInterrupt, EOFError) as error:
        if not wanted or isinstance(error, _Document):
            raise
        raise _document(error) from None


def _document(error: BaseException) -> _Document:
    if isinstance(error, Fault):
        return _Document(error.format_message(), error.code, error.details, error.exit_code)
    if isinstance(error, NoArgsIsHelpError):
        # Its message is the whole help.
        return _Document("Missing command.", "USAGE", {}, error.exit_code)
    if isinstance(error, click.ClickException):
        code = "USAGE" if error.exit_code == _USAGE else "FAILED"
        return _Document(error.format_message(), code, {}, error.exit_code)
    return _Document("aborted", "ABORTED_HERE", {}, 1)
