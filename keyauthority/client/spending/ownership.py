"""Whose a spool is: its folder is locked by the process that writes it, for as long as that lives."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from keyauthority.base.process.files import check_folder
from keyauthority.client.spending.segments import Fsync, sync_folder

SUFFIX: Final = ".spool"
_FRESH: Final = ".fresh"
_ATTEMPTS: Final = 10


class Owned:
    """A locked folder. The lock ends with the process, however that ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.held = True
        self._descriptor = descriptor
        _locks().add(self)

    def release(self) -> None:
        """Gives the lock up, or this process's part in it: a fork shares it with its parent.

        It is never unlocked by its descriptor, which would take it from the parent.
        """
        if self.held:
            self.held = False
            os.close(self._descriptor)


def create(parent: Path, fsync: Fsync) -> Owned:
    """Makes a spool's folder in *parent*, locked; raises `OSError`.

    It gets its name after it is locked, so that nobody adopts it.
    """
    check_folder(parent)
    for _ in range(_ATTEMPTS):
        owned = _created(parent)
        if owned is not None:
            break
    else:
        raise OSError(errno.EAGAIN, "others remove what is made there")
    try:
        sync_folder(parent, fsync)
    except OSError:
        owned.path.rmdir()
        owned.release()
        raise
    return owned


def claim(path: Path) -> Owned | None:
    """Locks the folder *path*; None if it has an owner or is gone. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had it before may have removed or renamed it.
        if os.path.samestat(os.fstat(descriptor), path.stat()):
            return Owned(path, descriptor)
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def spools_in(parent: Path) -> list[Path]:
    """Returns the folders of spools in *parent*, those without an owner and the others."""
    return sorted(parent.glob(f"*{SUFFIX}"))


def remove_unfinished(parent: Path) -> None:
    """Removes what processes left in *parent* that died before their spool had its name."""
    for path in parent.glob(f".*{_FRESH}"):
        with suppress(OSError):  # there is a next time
            owned = claim(path)
            if owned is not None:
                path.rmdir()
                owned.release()


def _created(parent: Path) -> Owned | None:
    name = secrets.token_hex(8)
    fresh = parent / f".{name}{_FRESH}"
    fresh.mkdir(mode=0o700)
    owned = claim(fresh)
    if owned is None:
        return None
    try:
        owned.path = fresh.rename(parent / f"{name}{SUFFIX}")
    except FileNotFoundError:  # somebody took it for a leftover
        owned.release()
        return None
    return owned


@cache
def _locks() -> weakref.WeakSet[Owned]:
    """Returns all locks of this process, none of which a child keeps that it forks."""
    locks: weakref.WeakSet[Owned] = weakref.WeakSet()

    def release() -> None:
        for owned in list(locks):
            owned.release()

    os.register_at_fork(after_in_child=release)
    return locks
