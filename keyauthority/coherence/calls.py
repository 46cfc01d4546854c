"""Requests that wait for calls: for each secret one call runs, and one is next."""

from __future__ import annotations

from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Calls(Generic[Waiter]):
    """Gathers the requests about one secret, so that they share a call and none gets too old an answer.

    A request may take the verdict only of a call that was sent after it arrived: what an earlier call
    read may have changed before the request came. A request that finds a call running waits for the
    next one. All that come before a call is sent share it, however long it waits for its turn.
    """

    def __init__(self) -> None:
        self._next: dict[bytes, list[Waiter]] = {}
        self._running: dict[bytes, list[Waiter]] = {}

    def arrive(self, digest: bytes, waiter: Waiter) -> bool:
        """Takes in a request; returns whether its call has to be sent.

        Else that is known: another request waits for the same call, or the running one ends before.
        """
        waiters = self._next.get(digest)
        if waiters is not None:
            waiters.append(waiter)
            return False
        self._next[digest] = [waiter]
        return digest not in self._running

    def send(self, digest: bytes) -> list[Waiter]:
        """Notes that a call is sent in this step; returns all requests that will take its answer.

        A call that failed may be sent again before it has ended.
        """
        waiters = self._running.setdefault(digest, [])
        waiters += self._next.pop(digest, ())
        return waiters

    def end(self, digest: bytes) -> list[Waiter]:
        """Ends the running call; returns the requests that take its answer. `proceed` has to follow."""
        return self._running.pop(digest)

    def proceed(self, digest: bytes) -> bool:
        """Returns whether a request waits for the next call, which has to be sent then, or withdrawn."""
        return digest in self._next

    def withdraw(self, digest: bytes) -> list[Waiter]:
        """Takes back the next call, which was not sent; returns the requests that waited for it."""
        return self._next.pop(digest)
