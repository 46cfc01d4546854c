"""What the terminal can show: colours, so many columns, and progress; pipes get whole plain lines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import click

Item = TypeVar("Item")

_COLOURS: Final = {
    **dict.fromkeys(("active", "answers", "ok", "valid"), "green"),
    **dict.fromkeys(("expired", "paused", "slow", "warn"), "yellow"),
    **dict.fromkeys(("fail", "refused", "revoked", "silent", "suspended"), "red"),
}
"""By words that tables have in a cell of their own."""


def is_coloured() -> bool:
    """Returns whether standard output shows colours, and nobody asked for none (NO_COLOR)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def columns() -> int | None:
    """Returns how many columns standard output has; None if it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def styled(cell: str) -> str:
    """Returns *cell* in the colour of its word, if standard output shows colours."""
    colour = _COLOURS.get(cell.strip())
    return click.style(cell, fg=colour) if colour and is_coloured() else cell


def heading(line: str) -> str:
    """Returns *line* in bold type, if standard output shows it."""
    return click.style(line, bold=True) if is_coloured() else line


def shows_progress() -> bool:
    """Returns whether somebody reads standard error, and asked for more than the answer."""
    options = click.get_current_context().obj
    return sys.stderr.isatty() and not (options.json or options.quiet)


def counted(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yields *items*, and shows on the terminal how many there have been, of *total* if it is known."""
    if not shows_progress():
        yield from items
        return
    bar = click.progressbar(items, total, label, file=sys.stderr, show_pos=True)
    with bar as shown:
        yield from shown
