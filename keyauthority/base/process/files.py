"""Files that only their owner may read, written whole or not at all, in folders of their own."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path


def check_folder(folder: Path) -> None:
    """Raises `OSError`, whose `strerror` says what to do, for a folder that others may write to.

    They could put a link in it that leads what is written elsewhere, or replace a file. A sticky
    folder, such as /tmp, protects existing files only, not those that are created later.
    """
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise PermissionError(errno.EPERM, f"the folder {folder} belongs to another user")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        why = f"others may write to the folder {folder}: chmod go-w it"
        raise PermissionError(errno.EPERM, why)


def open_own(path: Path) -> int:
    """Returns a descriptor of the file at *path*, which is created with mode 0600 if there is none.

    Raises `OSError` as `check_folder`, and for a link or anything but a file.
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
    """Replaces *path* by a file of mode 0600 that is on the disk when this returns.

    Raises `OSError`, also as `check_folder`.
    """
    check_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # A leftover of a process with the same id, or somebody's link, is never written to.
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
    """Returns the path of the file that `settle` will rename to *path*."""
    return path.with_name(f"{path.name}.new")


def settle(path: Path) -> None:
    """Renames the pending file of *path* to *path*, durably; raises `OSError`.

    An existing file stays, and another process may have settled it meanwhile.
    """
    if not path.exists():
        with suppress(FileNotFoundError):
            pending(path).rename(path)
    sync_folder(path)


def sync_folder(path: Path) -> None:
    """Writes the folder entry of *path* to the disk; raises `OSError`."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
