"""Writes down how holds ended. Only then is what they leave over free, and their charge sent."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.spool import Spool
from keyauthority.client.spending.workspace import WorkspaceCredits

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds: the pause after an end that could not be written, doubled each time up to the longest."""

log = logging.getLogger("keyauthority.client")


_End = tuple[WorkspaceCredits, SpooledCharge, bool]
"""Of which workspace, what was held, or what it cost, and whether it is charged."""


class Ends:
    """The ends of holds that are being written. What can't be written stays held, and is tried again.

    An end is written at once. It counts when the spool says that all up to it is synced, for all such
    ends in one step: nothing waits for a single one.

    Args:
        spool: Where they are written.
        on_end: Called with a workspace after holds of it have ended, and how many by a charge.
        counters: Count the holds.
    """

    def __init__(
        self,
        spool: Spool,
        on_end: Callable[[WorkspaceCredits, int], None],
        counters: Counters,
    ) -> None:
        self._spool = spool
        self._on_end = on_end
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        # By the number of the spool up to which all has to be synced.
        self._written: deque[tuple[int, _End]] = deque()
        self._unwritten: dict[str, asyncio.TimerHandle] = {}
        self._all_ended = asyncio.Event()
        self._closed = False
        # Whether the last write failed: a full disk would else fill the log, too.
        self._failing = False
        spool.notify(self._synced)

    def void(self, workspace: WorkspaceCredits, held: SpooledCharge) -> None:
        """Ends a hold without a charge."""
        self._end((workspace, held, False))

    def charge(self, workspace: WorkspaceCredits, charge: SpooledCharge) -> None:
        """Ends a hold with a charge."""
        self._end((workspace, charge, True))

    def dropped(self, workspace: WorkspaceCredits, held: SpooledCharge) -> None:
        """Charges as held what nobody can end any more; from whatever thread collects garbage.

        After the loop's end that is for whoever adopts the spool.
        """
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._charge_dropped, workspace, held)

    def hurry(self) -> None:
        """Has what is written synced at once, for somebody who waits for what it leaves over."""
        if self._written:
            self._spool.hurry()

    async def finish(self, seconds: float) -> None:
        """Returns when all is written, or after so many *seconds*.

        Whatever is not written by then, or ends later, is found in the spool as a hold without an end.
        """
        try:
            if self._written or self._unwritten:
                self._all_ended.clear()
                self.hurry()
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._all_ended.wait()
        finally:
            self._closed = True
            for timer in self._unwritten.values():
                timer.cancel()
            self._written.clear()

    def _charge_dropped(self, workspace: WorkspaceCredits, held: SpooledCharge) -> None:
        self._counters.dropped += 1
        self.charge(workspace, held)

    def _end(self, end: _End) -> None:
        if self._closed:
            log.error("end_after_the_end: %s is charged as held", end[1].reference)
            return
        self._write(end, FIRST_PAUSE)

    def _write(self, end: _End, pause: float) -> None:
        workspace, charge, is_charged = end
        if self._unwritten:
            self._unwritten.pop(charge.reference, None)
        try:
            number = self._spool.end(charge.reference, charge if is_charged else None)
        except SpoolError as error:
            if not self._failing:
                log.error("end_not_spooled: %s", error)  # noqa: TRY400 - its text says all
            self._failing = True
            longer = min(2 * pause, LONGEST_PAUSE)
            timer = self._loop.call_later(pause, self._write, end, longer)
            self._unwritten[charge.reference] = timer
        else:
            if workspace.line.waiters:
                self._spool.hurry()
            self._failing = False
            self._written.append((number, end))

    def _synced(self, number: int) -> None:
        written = self._written
        ended: dict[WorkspaceCredits, int] = {}
        while written and written[0][0] <= number:
            workspace, charge, is_charged = written.popleft()[1]
            if is_charged:
                workspace.charge(charge)
            else:
                workspace.void(charge.parts)
            workspace.holds -= 1
            self._counters.holds -= 1
            ended[workspace] = ended.get(workspace, 0) + is_charged
        for workspace, charges in ended.items():
            self._on_end(workspace, charges)
        if not written and not self._unwritten:
            self._all_ended.set()
