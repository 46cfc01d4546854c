"""Files that a command writes: whole or not at all, and readable by their owner alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import click


def write_whole(output: Path, lines: Iterable[str]) -> int:
    """Writes *lines* to *output* (0600) in place of what is there, and returns how many there are.

    Raises `click.ClickException`.
    """
    partial = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    count = 0
    try:
        # A file of that name is left over, or a trap: it is never written to.
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            for count, line in enumerate(lines, 1):  # noqa: B007 - the last count is kept
                file.write(f"{line}\n")
        partial.replace(output)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return count
