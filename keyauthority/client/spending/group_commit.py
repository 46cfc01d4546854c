"""One fsync for all who wait for one, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from keyauthority.client.spending.segments import Segment

INTERVAL: Final = 0.1
"""Seconds after which a hold is synced."""

PAUSE: Final = 0.01
"""Seconds after which an end is synced for which nobody waits: many end in them, and share an fsync."""

MOST_HOLDS: Final = 256
"""Holds that are synced at once."""

CLOSED_WITHIN: Final = 5.0
"""Seconds in which the last of it has to be on the disk."""

log = logging.getLogger("keyauthority.client")


class GroupCommit:
    """Syncs what is written: at once if somebody waits, else after `PAUSE`, `INTERVAL` or `MOST_HOLDS`.

    What a failed fsync was to write may be lost, though the next one succeeds. So it is never asked
    of the same file again: *renew* begins a new one that has everything, and that is synced instead.
    Only if this fails too do the waiting get the error; it is tried again every `INTERVAL`.

    Args:
        segment: The one that is written.
        renew: Begins a new segment, with all that is needed of the earlier ones. Raises `OSError`.
        on_synced: Called in the step in which `synced` has grown.
    """

    def __init__(
        self,
        segment: Callable[[], Segment],
        renew: Callable[[], None],
        on_synced: Callable[[], None],
    ) -> None:
        self.written = 0
        """Counts what was written."""
        self.synced = 0
        """What was written up to here is on the disk."""
        self.failure: OSError | None = None
        """Why nothing can be written now."""
        self._segment = segment
        self._renew = renew
        self._on_synced = on_synced
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        # What was written up to here is to be synced at once.
        self._hurried = 0
        self._holds = 0
        self._ends = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def wrote_hold(self) -> None:
        """A hold was written."""
        self.written += 1
        self._holds += 1
        if self._holds >= MOST_HOLDS:
            self._start()
        elif self._timer is None and self._task is None:
            self._start_later()

    def wrote(self) -> None:
        """Something else was written that is to be synced."""
        self.written += 1
        if self._timer is None and self._task is None:
            self._start_later()

    async def durable(self) -> None:
        """Returns when all that is written now is on the disk; raises `OSError`."""
        if self.synced < self.written:
            waiter = self._loop.create_future()
            self._waiting.append((self.written, waiter))
            self.hurry()
            await waiter

    def soon(self) -> None:
        """Syncs after `PAUSE` what is written now; `on_synced` is called then."""
        if not self._ends:
            self._ends = True
            if self._task is None:
                self._start_later()

    def hurry(self) -> None:
        """Syncs at once what is written now; `on_synced` is called then."""
        self._hurried = self.written
        if self._task is None:
            self._start()

    def afterwards(self, work: Callable[[], None]) -> None:
        """Does *work*, which raises nothing, in the thread, after the sync that is under way."""
        self._thread.submit(work)

    async def close(self, within: float) -> None:
        """Syncs what is written, if that can be done, and nothing any more afterwards.

        A disk that does not answer *within* so many seconds is not waited for.
        """
        is_late = False
        try:
            async with asyncio.timeout(within):
                with suppress(OSError):
                    await self.durable()
                while self._task is not None:
                    await asyncio.wait({self._task})
        except TimeoutError:
            log.error("spool_not_synced: the disk does not answer")  # noqa: TRY400
            is_late = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=not is_late)

    def _start_later(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(PAUSE if self._ends else INTERVAL, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            # Whoever writes before the task begins is served by the same fsync.
            self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            while await self._commit() and (
                self._hurried > self.synced or self._holds >= MOST_HOLDS
            ):
                pass
        finally:
            self._task = None
            if self.synced < self.written:
                self._start_later()
            else:
                self._ends = False

    async def _commit(self) -> bool:
        """Syncs once, and tells those who wait for that; False if nothing can be written."""
        self._holds = 0
        self._ends = False
        try:
            await self._sync()
        except OSError as error:
            if self.failure is None:
                log.error("spool_not_written: %s", error.strerror)  # noqa: TRY400 (it is the disk's)
            self.failure = error
            self._answer(self.written, error)
            return False
        self.failure = None
        self._on_synced()
        self._answer(self.synced, None)
        return True

    async def _sync(self) -> None:
        for last in (False, True):
            if self._segment().broken:
                self._renew()
            segment, target = self._segment(), self.written
            try:
                await self._loop.run_in_executor(self._thread, segment.sync)
            except OSError as error:
                log.error("spool_not_synced: %s, %s", segment.path, error.strerror)  # noqa: TRY400
                segment.broken = True
                if last:
                    raise
            else:
                self.synced = target
                return

    def _answer(self, up_to: int, error: OSError | None) -> None:
        waiting, self._waiting = self._waiting, []
        for number, waiter in waiting:
            if number > up_to:
                self._waiting.append((number, waiter))
            elif waiter.done():  # cancelled
                continue
            elif error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
