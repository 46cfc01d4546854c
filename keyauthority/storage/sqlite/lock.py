"""The lock that lets one process at a time use a database file."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from keyauthority.base.process.files import open_own
from keyauthority.base.relational.outages import StorageError
from keyauthority.storage.errors import InUseError

_LOOK: Final = 0.02
"""Seconds, far more than `check_unlocked` has the lock."""


@contextmanager
def locked(database: Path) -> Iterator[Path]:
    """Locks *database* for this process and yields its real path; `<database>.lock` names the holder.

    The lock ends with the process, however that ends. The file stays: removing it would let two
    processes lock two files of one name.

    Raises `StorageError` naming the holder if another process has the lock.
    """
    database = database.resolve()
    path = database.with_name(f"{database.name}.lock")
    try:
        descriptor = open_own(path)
    except OSError as error:
        raise StorageError(f"the lock file {path} can't be opened: {error.strerror}") from error
    try:
        _lock(descriptor, database)
        os.ftruncate(descriptor, 0)
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
        os.pwrite(descriptor, holder.encode(), 0)
        yield database
    finally:
        os.close(descriptor)


def check_unlocked(database: Path) -> None:
    """Raises `InUseError` if a process has *database*, which is no link; changes nothing."""
    try:
        path = database.with_name(f"{database.name}.lock")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        # There is no other way to ask. It is released at once, and whoever begins tries twice.
        _flock(descriptor, fcntl.LOCK_SH, database)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, database: Path) -> None:
    try:
        _flock(descriptor, fcntl.LOCK_EX, database)
    except InUseError:
        time.sleep(_LOOK)
        _flock(descriptor, fcntl.LOCK_EX, database)


def _flock(descriptor: int, operation: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 500, 0).decode(errors="replace") or "another process"
        raise InUseError(f"the database {database} is in use by {holder}") from error
    except OSError as error:
        raise StorageError(f"the database {database} can't be locked: {error.strerror}") from error
