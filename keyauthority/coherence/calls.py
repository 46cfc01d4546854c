"""Requests that wait for calls: for each secret one call runs, and one is next."""

from __future__ import annotations

from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Calls(Generic[Waiter]):
    """Gathers the requests about one secret, so that they share a call and none gets too old an answer.

    A request may take the verdict only of a call that was sent after it arrived: what an earlier call
    read may have changed before the request came. A request that finds a call running waits for the
    next one.
    """

    def __init__(self) -> None:
        self._running: dict[bytes, list[Waiter]] = {}
        self._next: dict[bytes, list[Waiter]] = {}

    def arrive(self, digest: bytes, waiter: Waiter) -> bool:
        """Takes in a request; returns whether its call is to be sent now, else it is the next one."""
        if digest in self._running:
            self._next.setdefault(digest, []).append(waiter)
            return False
        self._running[digest] = [waiter]
        return True

    def running(self, digest: bytes) -> list[Waiter]:
        """Returns the requests that will take the answer of the running call."""
        return self._running[digest]

    def end(self, digest: bytes) -> list[Waiter]:
        """Ends the running call; returns the requests that take its answer. `proceed` has to follow."""
        return self._running.pop(digest)

    def proceed(self, digest: bytes) -> bool:
        """Makes the next call the running one; returns False if no request waits for it."""
        waiters = self._next.pop(digest, None)
        if waiters is None:
            return False
        self._running[digest] = waiters
        return True
