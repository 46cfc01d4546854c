"""The files of a spool: one is written, the earlier ones are its archive."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

Fsync = Callable[[int], None]

_CLOSED: Final = -1
"""No file's descriptor."""

_LIVE: Final = re.compile(r"(\d{12})\.segment")


class Segment:
    """A new file, to whose end records are written.

    Every write goes to the kernel at once, so it survives the death of this process.

    Args:
        path: Where it is made.
        content: What it begins with.
        fsync: Writes a file or folder to the disk. What it fails to write may be lost even if it
            succeeds later, so a segment is not written any more once it has failed.

    Raises `OSError`; then there is no such file.
    """

    def __init__(self, path: Path, content: bytes, fsync: Fsync) -> None:
        self.path = path
        self.size = 0
        self.broken = False
        """Whether what it should hold may not be there: the next segment says all of it again."""
        self._fsync = fsync
        self._entered = False
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self.append(content)
        except OSError:
            self.close()
            path.unlink()
            raise

    def append(self, content: bytes) -> None:
        """Writes *content* whole; raises `OSError` if it can't, and leaves nothing of it."""
        written = os.write(self._file, content)
        if written < len(content):
            # If this fails too, the torn record does no harm: the next one is told apart from it.
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.size += written

    def sync(self) -> None:
        """Returns when what was written before is on the disk; raises `OSError`."""
        self._fsync(self._file)
        if not self._entered:
            sync_folder(self.path.parent, self._fsync)
            self._entered = True

    def close(self) -> None:
        """Closes the file: nothing is written any more, into whatever has its descriptor next."""
        descriptor, self._file = self._file, _CLOSED
        os.close(descriptor)

    @property
    def is_durable(self) -> bool:
        """Whether what it began with is on the disk: the earlier ones are an archive then."""
        return self._entered

    def discard(self) -> None:
        """Closes the file, and deletes it if nothing in it was ever synced.

        So a disk that refuses to sync is not filled by the attempts.
        """
        self.close()
        if not self._entered:
            with suppress(OSError):
                self.path.unlink()


def sync_folder(folder: Path, fsync: Fsync) -> None:
    """Writes the entries of *folder* to the disk; raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def path_of(folder: Path, number: int) -> Path:
    """Returns where segment *number* of the spool in *folder* is."""
    return folder / f"{number:012}.segment"


def live_segments(folder: Path) -> list[Path]:
    """Returns the segments that the owner of *folder* wrote, the oldest first."""
    return sorted(path for path in folder.iterdir() if _LIVE.fullmatch(path.name))


def archived_segments(folder: Path) -> list[Path]:
    """Returns the segments of adopted spools in *folder*, in no order of time."""
    return sorted(path for path in folder.glob("*.segment") if not _LIVE.fullmatch(path.name))


def all_segments(folder: Path) -> list[Path]:
    """Returns all segments in *folder*."""
    return [*archived_segments(folder), *live_segments(folder)]


def prune(folder: Path, before: float, current: Path, most: int | None = None) -> tuple[int, int]:
    """Deletes segments last written before the time *before*, and the oldest above *most* bytes.

    Returns the bytes of those that stay, and how many were deleted before their time. In a segment
    before *current* is only what is needed no more but for a newer epoch. *current*, and what was begun
    after it meanwhile, stay and are not counted. Raises `OSError`.
    """
    size, early = 0, 0
    earlier = [path for path in live_segments(folder) if path.name < current.name]
    archive = [(path.stat(), path) for path in [*archived_segments(folder), *earlier]]
    for status, path in sorted(archive, key=lambda one: one[0].st_mtime, reverse=True):
        if status.st_mtime < before:
            path.unlink()
        elif most is not None and size + status.st_size > most:
            # The older ones go too, since none of them is newer than what stays.
            path.unlink()
            early += 1
            most = size
        else:
            size += status.st_size
    return size, early
