"""Files that only their owner may read, written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_private(path: Path, content: str) -> None:
    """Replaces *path* by a file of mode 0600 that is on the disk when this returns; raises `OSError`."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Left by a process of the same id, or put there to be written through: never reused.
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    _sync_folder(path)


def pending(path: Path) -> Path:
    """Where what will be *path* is kept until something else is done: see `settle`."""
    return path.with_name(f"{path.name}.new")


def settle(path: Path) -> None:
    """Gives the pending file of *path* its name, durably; raises `OSError`.

    A file that is there already stays, and nothing is done if another process has settled it.
    """
    if not path.exists():
        with suppress(FileNotFoundError):
            pending(path).rename(path)
    _sync_folder(path)


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
