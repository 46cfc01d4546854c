"""How many calls of each kind are under way at most, and which changes still run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.peers import PeerPlaces

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Room:
    """The places that some services share: how many calls are under way at most.

    A call beyond these is refused at once: one that waits longer than its caller only costs the
    rest. A flood of calls in one room shuts out none of another. `streams` are calls that may stay
    for days: whoever watches leaves room for whoever asks once. A change takes no place while it
    waits at the fence.
    """

    name: str
    calls: int
    streams: int = 0


# Held for seconds each, by as many verifiers as there are.
SYNCING: Final = Room("syncing", 10_000)
VERIFYING: Final = Room("verifying", 1_000)
ISSUING: Final = Room("issuing", 100)
ADMINISTERING: Final = Room("administering", 50)
REFLECTING: Final = Room("reflecting", 50, streams=50)
# As many streams as there are connections: each client may watch the health of the process it asks.
HEALTH: Final = Room("health", 200, streams=12_000)

STREAMS_PER_CONNECTION: Final = 4
"""How many of a room's streams one connection may have."""


class Places:
    """The places for the calls in one room."""

    __slots__ = ("_most", "_taken")

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def enter(self) -> None:
        """Takes a place for one call; raises `OVERLOADED` if there is none."""
        if self._taken >= self._most:
            raise KeyAuthorityError(Reason.OVERLOADED, "too many calls of this kind are under way")
        self._taken += 1

    def leave(self) -> None:
        """Gives up the place of a call that entered."""
        self._taken -= 1


class Admission:
    """The places of each room."""

    def __init__(self) -> None:
        self._calls: dict[Room, Places] = {}
        self._streams: dict[Room, PeerPlaces] = {}

    def calls(self, room: Room) -> Places:
        """Where the calls in *room* take their places."""
        return self._calls.setdefault(room, Places(room.calls))

    def streams(self, room: Room) -> PeerPlaces:
        """Where its streams do."""
        return self._streams.setdefault(room, PeerPlaces(room.streams, STREAMS_PER_CONNECTION))


class Mutations:
    """Runs changes to their end, whatever becomes of their callers.

    A caller's deadline or departure cancels its call; a change cut off in the middle would leave it
    open whether it was made.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[object]] = set()
        self._closed = False

    def start(self, change: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Starts *change*, which goes on whatever becomes of who waits for it."""
        task = asyncio.create_task(change)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def finish(self, task: asyncio.Task[Result], seconds: float | None) -> bool:
        """Waits for a started change, *seconds* at most; whether it is done.

        If this is cancelled, or the time is over, nobody else hears how the change ends.
        """
        try:
            await asyncio.wait({task}, timeout=seconds)
        finally:
            if not task.done():
                task.add_done_callback(_report)
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
        back. What became of it, the next start finds in the books.
        """
        self._closed = True
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=seconds)
            if left:
                log.error("stopped_with_changes_open", changes=len(left))


def _report(task: asyncio.Task[object]) -> None:
    # Its caller has left: nobody else will hear of it.
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, KeyAuthorityError):
        log.error("abandoned_change_failed", exc_info=error)
