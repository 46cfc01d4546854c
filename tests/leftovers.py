"""Folders of tests that end with the run that made them, even if that run was killed.

A folder is locked by its run for as long as this lives. The next run removes those that nobody
locks, and ends the PostgreSQL server that may still run in one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "keyauthority-tests-"
YOUNG: Final = 60.0
"""Seconds for which a folder without a lock is left alone: its run may be about to lock it."""


def new_folder(parent: Path) -> Path:
    """A new folder in *parent*, of this run; what killed runs left there is gone."""
    remove_abandoned(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
    return folder


def remove_abandoned(parent: Path, young: float = YOUNG) -> None:
    """Removes the folders in *parent* whose runs are gone, if they are ours to remove."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(descriptor).st_mtime > young:
                    _end_server(folder / "data")
                    shutil.rmtree(folder)
            finally:
                os.close(descriptor)


def _end_server(data: Path) -> None:
    with suppress(OSError, ValueError):
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        # The number may be another program's by now.
        if os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
