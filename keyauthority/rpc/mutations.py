"""Changes under way: each runs to its end, and says how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import structlog

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.admission import Places

Result = TypeVar("Result")

MARGIN: Final = 0.05
"""Seconds before its caller's deadline at which a change that still spreads is answered."""

log = structlog.get_logger()


class Progress:
    """How far one change is. It takes a place of *places* until it is made or over."""

    def __init__(self, places: Places) -> None:
        places.enter()
        self._places: Places | None = places
        self._revision: int | None = None

    def made(self, revision: int) -> None:
        """Notes that the change is durable: from now on it waits at the fence."""
        self._revision = revision
        self.give_up_place()

    def give_up_place(self) -> None:
        """Gives up the change's place, if it still has one."""
        places, self._places = self._places, None
        if places is not None:
            places.leave()

    def check_not_made(self, within: float) -> None:
        """Raises `REVOCATION_SPREADING` if the change is durable: it is in force *within* seconds."""
        if self._revision is not None:
            raise KeyAuthorityError(
                Reason.REVOCATION_SPREADING,
                "the change is made and still spreading: it is in force everywhere within "
                f"{within:.2f} s",
                revision=str(self._revision),
                within=f"{within:.2f}",
            )


class Mutations:
    """Runs changes to their end, whatever becomes of their callers.

    A caller's deadline or departure cancels its call. If that cut off the change too, nobody would
    know whether it was made.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[object]] = set()
        self._closed = False

    def start(self, change: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Starts *change* in a task of its own."""
        task = asyncio.create_task(change)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def finish(self, task: asyncio.Task[Result], seconds: float | None) -> bool:
        """Waits for a started change, *seconds* at most; returns whether it is done.

        If the change is not done then, or the wait is cancelled, its failure is logged, unless
        somebody waits for it again.
        """
        task.remove_done_callback(_log_failure)
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.add_done_callback(_log_failure)
        return task.done()

    async def run(self, change: Coroutine[Any, Any, Result]) -> Result:
        """Awaits *change*, which goes on if this is cancelled."""
        task = self.start(change)
        await self.finish(task, None)
        return task.result()

    def check_open(self) -> None:
        """Raises `SHUTTING_DOWN` once `close` was called."""
        if self._closed:
            raise KeyAuthorityError(Reason.SHUTTING_DOWN, "the authority is stopping")

    async def close(self, seconds: float) -> None:
        """Has `check_open` refuse from now on, and returns when the changes under way are made.

        After *seconds* it returns all the same: a commit may wait for a standby that does not come
        back. The next start reads in the books what became of it.
        """
        self._closed = True
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=seconds)
            if left:
                log.error("stopped_with_changes_open", changes=len(left))


def _log_failure(task: asyncio.Task[object]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, KeyAuthorityError):
        log.error("abandoned_change_failed", exc_info=error)
