"""How many calls of each kind are under way at most, and which changes still run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

import structlog

from keyauthority.domain.callers import Role
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.rpc.policy import Access, Method, Room

Result = TypeVar("Result")

log = structlog.get_logger()

PLACES: Final[dict[Role | Access | Room, int]] = {
    # Held for seconds each, by as many verifiers as there are.
    Room.SYNCING: 10_000,
    Role.VERIFIER: 1_000,
    Role.ISSUER: 100,
    Role.ADMIN: 50,
    Access.AUTHENTICATED: 50,
    Access.OPEN: 200,
}
"""A call beyond these is refused at once: one that waits longer than its caller only costs the rest.

Each kind has its own, so that a flood of one does not shut out the others. A change takes none while
it waits at the fence.
"""

STREAMS: Final[dict[Role | Access, int]] = {
    Access.AUTHENTICATED: 50,
    # As many as there are connections: each client may watch the health of the process it asks.
    Access.OPEN: 12_000,
}
"""Likewise for calls that may stay for days: whoever watches leaves room for whoever asks once."""

STREAMS_PER_CONNECTION: Final = 4
"""Of these, how many one connection may have."""


class Places:
    """The places for calls of one kind."""

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
    """Knows the places of each kind of call."""

    def __init__(self, places: Mapping[Role | Access | Room, int]) -> None:
        self._places = {room: Places(most) for room, most in places.items()}

    def of(self, method: Method) -> Places:
        """Where the calls of *method* take their places."""
        return self._places.get(method.room) or Places(0)


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
