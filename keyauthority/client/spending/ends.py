"""Writes down how holds ended. Only then is what they leave over free, and their charge sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.spool import Spool
from keyauthority.client.spending.workspace import WorkspaceCredits
from keyauthority.escrow.purse import Hold

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds: the pause after an end that could not be written, doubled each time up to the longest."""

log = logging.getLogger("keyauthority.client")


class Ends:
    """The ends of holds that are being written. What can't be written stays held, and is tried again.

    Args:
        spool: Where they are written.
        on_end: Called with the workspace after a hold of it has ended, and whether by a charge.
        counters: Count the holds.
    """

    def __init__(
        self,
        spool: Spool,
        on_end: Callable[[WorkspaceCredits, bool], None],
        counters: Counters,
    ) -> None:
        self._spool = spool
        self._on_end = on_end
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        # Whether the last write failed: a full disk would else fill the log, too.
        self._failing = False

    def __contains__(self, reference: object) -> bool:
        return reference in self._tasks

    def void(self, workspace: WorkspaceCredits, hold: Hold, reference: str) -> None:
        """Ends a hold without a charge."""
        self._begin(reference, lambda: self._void(workspace, hold, reference))

    def charge(self, workspace: WorkspaceCredits, hold: Hold, charge: SpooledCharge) -> None:
        """Ends a hold with a charge."""
        self._begin(charge.reference, lambda: self._charge(workspace, hold, charge))

    def dropped(self, workspace: WorkspaceCredits, hold: Hold, charge: SpooledCharge) -> None:
        """Ends a hold that nobody can end any more; from whatever thread collects garbage.

        After the loop's end that is for whoever adopts the spool.
        """
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._charge_dropped, workspace, hold, charge)

    async def finish(self, seconds: float) -> None:
        """Returns when all is written, or after so many *seconds*.

        Whatever is not written by then, or ends later, is found in the spool as a hold without an end.
        """
        try:
            if self._tasks:
                await asyncio.wait(list(self._tasks.values()), timeout=seconds)
        finally:
            self._closed = True
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, reference: str, work: Callable[[], Awaitable[None]]) -> None:
        if self._closed:
            log.error("end_after_the_end: %s is charged as held", reference)
            return
        self._tasks[reference] = self._loop.create_task(self._end(reference, work()))

    def _charge_dropped(
        self, workspace: WorkspaceCredits, hold: Hold, charge: SpooledCharge
    ) -> None:
        self._counters.dropped += 1
        self.charge(workspace, hold, charge)

    async def _end(self, reference: str, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            del self._tasks[reference]

    async def _void(self, workspace: WorkspaceCredits, hold: Hold, reference: str) -> None:
        await self._written(lambda: self._spool.void(reference))
        workspace.void(hold)
        self._ended(workspace, charged=False)

    async def _charge(self, workspace: WorkspaceCredits, hold: Hold, charge: SpooledCharge) -> None:
        await self._written(lambda: self._spool.charge(charge))
        workspace.charge(hold, charge)
        self._ended(workspace, charged=True)

    def _ended(self, workspace: WorkspaceCredits, *, charged: bool) -> None:
        self._counters.holds -= 1
        workspace.holds -= 1
        self._on_end(workspace, charged)

    async def _written(self, write: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await write()
            except SpoolError as error:
                if not self._failing:
                    log.error("end_not_spooled: %s", error)  # noqa: TRY400 - its text says all
                self._failing = True
            else:
                self._failing = False
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
