"""Who waits for which call: for each secret one runs, and one is next."""

from __future__ import annotations

from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Calls(Generic[Waiter]):
    """Keeps those who ask the same question together, without giving anybody too old an answer.

    A request may take the verdict only of a call that was sent after it arrived: what was read
    before may have changed before the request came. So who finds a call running waits for the next.
    """

    def __init__(self) -> None:
        self._running: dict[bytes, list[Waiter]] = {}
        self._next: dict[bytes, list[Waiter]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def arrive(self, digest: bytes, waiter: Waiter) -> bool:
        """Takes in a request; True if its call is to be sent now, False if it is the next one."""
        if digest in self._running:
            self._next.setdefault(digest, []).append(waiter)
            return False
        self._running[digest] = [waiter]
        return True

    def running(self, digest: bytes) -> list[Waiter]:
        """Those who will take the answer of the running call."""
        return self._running[digest]

    def end(self, digest: bytes) -> list[Waiter]:
        """Ends the running call: those who take its answer. `proceed` is due after it."""
        return self._running.pop(digest)

    def waiting(self, digest: bytes) -> list[Waiter]:
        """Takes out those who wait for the next call, to be answered from the cache."""
        return self._next.pop(digest, [])

    def proceed(self, digest: bytes) -> bool:
        """Makes the next call the running one; False if nobody waits for it."""
        waiters = self._next.pop(digest, None)
        if waiters is None:
            return False
        self._running[digest] = waiters
        return True
