"""The lock that lets one process at a time use a database file."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from keyauthority.base.process.files import open_own
from keyauthority.base.relational.outages import StorageError
from keyauthority.storage.errors import InUseError


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


def _lock(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 500, 0).decode(errors="replace") or "another process"
        raise InUseError(f"the database {database} is in use by {holder}") from error
    except OSError as error:
        raise StorageError(f"the database {database} can't be locked: {error.strerror}") from error
