"""Writes the segments of a spool: a new one when one is long, or may not hold what it should."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from keyauthority.client.spending.group_commit import GroupCommit
from keyauthority.client.spending.segments import Fsync, Segment, path_of, prune

SEGMENT_BYTES: Final = 8 << 20
"""Bytes after which a new segment begins, beside those that it began with."""

KEPT: Final = 72 * 3600.0
"""Seconds for which confirmed charges stay on the disk, for books restored from a backup."""

PRUNE_INTERVAL: Final = 600.0
FULL_PRUNE_INTERVAL: Final = 1.0
"""Seconds from one look for what is older to the next, and while the archive is larger than it may be."""

log = logging.getLogger("keyauthority.client")


class Journal:
    """The segments in *folder*, of which the newest is written.

    A new segment begins with all that is open or unconfirmed in the earlier ones. So these are needed
    no more, but for the charges in them that were confirmed in an epoch that may be over.

    Args:
        folder: Of this spool.
        content: Returns what a new segment begins with.
        fsync: Writes a file or folder to the disk.
        now: The wall clock, for the age of segments.
        segment_bytes: How long a segment gets.
        archive_bytes: What the earlier segments may come to; then the oldest go before their time.

    Raises `OSError` if there can be no first segment.
    """

    def __init__(
        self,
        folder: Path,
        content: Callable[[], bytes],
        fsync: Fsync,
        now: Callable[[], float] = time.time,
        segment_bytes: int = SEGMENT_BYTES,
        archive_bytes: int | None = None,
    ) -> None:
        self._folder = folder
        self._content = content
        self._fsync = fsync
        self._now = now
        self._segment_bytes = segment_bytes
        self._archive_bytes = archive_bytes
        self._number = 0
        self._archived = 0
        self._pruned = now()
        self.on_synced: Callable[[int], None] | None = None
        """Called with `synced` in the step in which it has grown."""
        self._begin()
        self._commit = GroupCommit(self._current, self._renew, self._synced)

    @property
    def size(self) -> int:
        """Bytes on the disk, those of earlier segments as last counted."""
        return self._archived + self._segment.size

    @property
    def written(self) -> int:
        """Counts what was written; what was written last has this number."""
        return self._commit.written

    @property
    def synced(self) -> int:
        """The number up to which all is on the disk."""
        return self._commit.synced

    @property
    def failure(self) -> OSError | None:
        """Why nothing could be synced lately; None if all was."""
        return self._commit.failure

    def write(self, frame: bytes) -> None:
        """Writes a record that others go by at once; raises `OSError`, and then it is not there."""
        failure = self._commit.failure
        if failure is not None:
            raise OSError(failure.errno, failure.strerror)
        if self._segment.size >= self._longest:
            self._rotate()
        try:
            self._segment.append(frame)
        except OSError as error:
            self._make_room(error)
            raise
        self._commit.wrote_hold()

    def write_known(self, frames: bytes) -> None:
        """Writes what `content` says already: if it can't be written, the next segment says it.

        It counts once it is synced.
        """
        if self._segment.size >= self._longest:
            self._rotate()
        if not self._segment.broken:
            try:
                self._segment.append(frames)
            except OSError:
                self._segment.broken = True
        self._commit.wrote()

    def note(self, frame: bytes) -> None:
        """Writes a record that may be missing."""
        with suppress(OSError):
            self._segment.append(frame)

    def soon(self) -> None:
        """Brings all that is written now to the disk within milliseconds, with what follows till then."""
        self._commit.soon()

    def hurry(self) -> None:
        """Brings all that is written now to the disk at once; `on_synced` tells when it is there."""
        self._commit.hurry()

    async def durable(self) -> None:
        """Returns when all that is written now is on the disk; raises `OSError`."""
        await self._commit.durable()

    def _synced(self) -> None:
        if self.on_synced is not None:
            self.on_synced(self._commit.synced)
        now = self._now()
        most = self._archive_bytes
        is_full = most is not None and self._archived > most
        is_due = now - self._pruned >= (FULL_PRUNE_INTERVAL if is_full else PRUNE_INTERVAL)
        if is_due and self._segment.is_durable:
            self._pruned = now
            current = self._segment.path
            self._commit.afterwards(lambda: self._prune(now - KEPT, current, most))

    async def close(self, within: float) -> None:
        """Syncs what can be synced *within* so many seconds, and closes the file."""
        await self._commit.close(within)
        self._segment.close()

    def remove(self) -> None:
        """Deletes the segment of a spool that was not used; raises `OSError`."""
        self._segment.path.unlink()

    def _current(self) -> Segment:
        return self._segment

    def _rotate(self) -> None:
        # Before a record is written that is not in `content` yet, or may stand there twice.
        try:
            self._renew()
        except OSError as error:
            log.warning("spool_not_rotated: %s", error.strerror)
            self._longest += self._segment_bytes

    def _begin(self) -> None:
        path = path_of(self._folder, self._number + 1)
        self._segment = Segment(path, self._content(), self._fsync)
        self._number += 1
        self._longest = self._segment.size + max(self._segment_bytes, self._segment.size)

    def _renew(self) -> None:
        previous = self._segment
        try:
            self._begin()
        except OSError as error:
            self._make_room(error)
            raise
        self._commit.wrote()
        self._archived += previous.size
        # In the thread that may be syncing it.
        self._commit.afterwards(previous.discard if previous.broken else previous.close)

    def _make_room(self, error: OSError) -> None:
        # Half of the archive: it is for a restore that may never be, and requests are refused now.
        now, current = self._now(), self._segment
        is_due = now - self._pruned >= FULL_PRUNE_INTERVAL and self._archived and current.is_durable
        if error.errno == errno.ENOSPC and is_due:
            self._pruned = now
            most = self._archived // 2
            self._commit.afterwards(lambda: self._prune(now - KEPT, current.path, most))

    def _prune(self, before: float, current: Path, most: int | None) -> None:
        try:
            self._archived, early = prune(self._folder, before, current, most)
        except OSError as error:
            log.warning("spool_not_pruned: %s: %s", self._folder, error.strerror)
            return
        if early:
            log.error(
                "spool_archive_full: %s, %d segments deleted before their time: after a restore of an"
                " older backup their charges are lost",
                self._folder,
                early,
            )
