"""Takes over the spools of processes that are gone, each whole and by one process."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from keyauthority.client.spending.group_commit import MOST_HOLDS
from keyauthority.client.spending.ownership import Owned, claim
from keyauthority.client.spending.records import SpoolError
from keyauthority.client.spending.recovery import Contents, recover
from keyauthority.client.spending.segments import archived_segments, live_segments

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger("keyauthority.client")


class Orphan:
    """A spool whose owner is gone, locked, and what it holds."""

    def __init__(self, owned: Owned, contents: Contents) -> None:
        self.contents = contents
        self._owned = owned

    @classmethod
    def claim(cls, path: Path) -> Orphan | None:
        """Returns the spool in the folder *path*, locked.

        None if it has an owner, is gone, or can't be read; the last is logged.
        """
        owned = None
        try:
            owned = claim(path)
            if owned is None:
                return None
            contents = recover(path)
        except (OSError, SpoolError) as error:
            log.error("spool_not_adopted: %s: %s", path, error)  # noqa: TRY400 (its text says all)
            if owned is not None:
                owned.release()
            return None
        _report(path, contents)
        return cls(owned, contents)

    @classmethod
    async def claimed(cls, path: Path) -> Orphan | None:
        """Returns the spool as `claim` does, which a thread looks for."""
        claiming = asyncio.get_running_loop().run_in_executor(None, cls.claim, path)
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # The thread goes on, and may lock it for nobody.
            claiming.add_done_callback(_release)
            raise

    def move_to(self, folder: Path) -> None:
        """Moves the segments to the archive in *folder*, where all that they say is written.

        The newest goes last: if this stops half-way, whoever adopts the rest finds in it what was
        open, and not in an earlier one what was open once. That it did is logged.
        """
        path = self._owned.path
        try:
            for segment in archived_segments(path):
                segment.rename(folder / segment.name)
            for segment in live_segments(path):
                segment.rename(folder / f"{path.stem}-{segment.name}")
            path.rmdir()
        except OSError as error:
            log.error("spool_not_moved: %s: %s", path, error)  # noqa: TRY400 (its text says all)

    def release(self) -> None:
        """Leaves what is left of it to others."""
        self._owned.release()


def _release(claiming: asyncio.Future[Orphan | None]) -> None:
    if claiming.exception() is None and (orphan := claiming.result()) is not None:
        orphan.release()


def boot_id() -> str:
    """Returns a name of this start of the machine; empty if the system has none."""
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _report(path: Path, contents: Contents) -> None:
    log.info(
        "spool_adopted: %s, with %d charges and %d holds without an end",
        path,
        len(contents.charges),
        len(contents.holds),
    )
    if not contents.closed and contents.boot != boot_id():
        log.warning(
            "spool_after_power_cut: the machine stopped while %s was written; at most %d requests may "
            "be lost, and those that began while the last of it was synced",
            path,
            MOST_HOLDS,
        )
