"""Files that only their owner may read, written whole or not at all, in folders of his own."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def check_folder(folder: Path) -> None:
    """Raises `OSError`, whose `strerror` says what to do, for one in which others may put things.

    They could have a link lead what is written to where they like, or take a file's place. That a
    sticky folder, such as /tmp, keeps what is there already is of no help to what is made later.
    """
    found = folder.stat()
    if found.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EPERM, f"the folder {folder} belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = f"others may write to the folder {folder}: chmod go-w it"
        raise PermissionError(errno.EPERM, why)


def open_own(path: Path) -> int:
    """A descriptor of the file at *path*, made with mode 0600 if there is none, as it is.

    Raises `OSError` likewise, also for a symbolic link and for what is no file.
    """
    check_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PermissionError(errno.ELOOP, "it is a symbolic link: remove it") from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        what = "it is no file" if status.st_nlink == 1 else "it is a hard link"
        raise PermissionError(errno.EPERM, f"{what}: remove it")
    return descriptor


def write_private(path: Path, content: str) -> None:
    """Replaces *path* by a file of mode 0600 that is on the disk when this returns; raises `OSError`.

    It is not written where others may put files.
    """
    check_folder(path.parent)
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
    sync_folder(path)


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
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Has the disk keep what the folder of *path* holds by that name; raises `OSError`."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
