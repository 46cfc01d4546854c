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

    Those that come in one step of the loop are written in its next, together. They count when the spool
    says that all up to them is synced, also in one step: nothing waits for a single one.

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
        self._ended: list[_End] = []
        # By the number of the spool up to which all has to be synced.
        self._written: deque[tuple[int, list[_End]]] = deque()
        # Those that could not be written, and when they are again.
        self._unwritten: list[_End] = []
        self._retry: asyncio.TimerHandle | None = None
        self._pause = FIRST_PAUSE
        self._all_ended = asyncio.Event()
        self._closed = False
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
        """Has what ended synced at once, for somebody who waits for what it leaves over."""
        self._write_ended()
        if self._written:
            self._spool.hurry()

    async def finish(self, seconds: float) -> None:
        """Returns when all is written, or after so many *seconds*.

        Whatever is not written by then, or ends later, is found in the spool as a hold without an end.
        """
        try:
            self.hurry()
            if not self._is_done:
                self._all_ended.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._all_ended.wait()
        finally:
            self._closed = True
            if self._retry is not None:
                self._retry.cancel()
            self._written.clear()

    @property
    def _is_done(self) -> bool:
        return not (self._ended or self._written or self._unwritten)

    def _charge_dropped(self, workspace: WorkspaceCredits, held: SpooledCharge) -> None:
        self._counters.dropped += 1
        self.charge(workspace, held)

    def _end(self, end: _End) -> None:
        if self._closed:
            log.error("end_after_the_end: %s is charged as held", end[1].reference)
            return
        if not self._ended:
            self._loop.call_soon(self._write_ended)
        self._ended.append(end)

    def _write_ended(self) -> None:
        ends, self._ended = self._ended, []
        if ends:
            self._write(ends)

    def _write_again(self) -> None:
        self._retry = None
        ends, self._unwritten = self._unwritten, []
        self._write(ends)

    def _write(self, ends: list[_End]) -> None:
        charged = [charge for _, charge, is_charged in ends if is_charged]
        voided = [held.reference for _, held, is_charged in ends if not is_charged]
        try:
            number = self._spool.end(charged, voided)
        except SpoolError as error:
            # Once: a full disk would else fill the log, too.
            if self._pause == FIRST_PAUSE:
                log.error("end_not_spooled: %s", error)  # noqa: TRY400 - its text says all
            self._unwritten += ends
            if self._retry is None:
                self._retry = self._loop.call_later(self._pause, self._write_again)
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            return
        self._pause = FIRST_PAUSE
        self._written.append((number, ends))
        if any(workspace.line.waiters for workspace, _, _ in ends):
            self._spool.hurry()

    def _synced(self, number: int) -> None:
        ended: dict[WorkspaceCredits, list[SpooledCharge]] = {}
        while self._written and self._written[0][0] <= number:
            _, ends = self._written.popleft()
            self._counters.holds -= len(ends)
            for workspace, charge, is_charged in ends:
                workspace.holds -= 1
                charges = ended.setdefault(workspace, [])
                if is_charged:
                    charges.append(charge)
                else:
                    workspace.void(charge.parts)
        for workspace, charges in ended.items():
            workspace.charge(charges)
            self._on_end(workspace, len(charges))
        if self._is_done:
            self._all_ended.set()
