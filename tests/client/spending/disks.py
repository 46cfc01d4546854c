"""A disk that says what a power cut would leave, and that fails."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path


class Disk:
    """Remembers what is synced; a failed fsync loses what it was to write, as Linux does.

    Args:
        fails: Whether the next fsync of a file does.
    """

    def __init__(self, fails: Callable[[], bool] = lambda: False) -> None:
        self.fails = fails
        self.synced: list[Path] = []
        self._content: dict[Path, bytes] = {}
        self._lost: dict[Path, list[tuple[int, int]]] = {}
        self._entries: dict[Path, list[str]] = {}

    def fsync(self, descriptor: int) -> None:
        """Syncs a file or a folder."""
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._entries[path] = [entry.name for entry in path.iterdir()]
            return
        content = path.read_bytes()
        if self.fails():
            done = len(self._content.get(path, b""))
            self._lost.setdefault(path, []).append((done, len(content)))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        for begin, end in self._lost.get(path, []):
            content = content[:begin] + bytes(end - begin) + content[end:]
        self._content[path] = content
        self.synced.append(path)

    def power_cut(self, folder: Path, into: Path) -> Path:
        """Returns a folder with what would be left of *folder*."""
        for spool in folder.glob("*.spool"):
            if spool.name in self._entries.get(folder, ()):
                (into / spool.name).mkdir(parents=True)
                for name in self._entries.get(spool, ()):
                    content = self._content.get(spool / name, b"")
                    (into / spool.name / name).write_bytes(content)
        return into


class Gate:
    """An fsync that waits until it may."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.count = 0

    def fsync(self, descriptor: int) -> None:
        """Counts the files among what is synced."""
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            self.count += 1
            assert self.open.wait(10)
