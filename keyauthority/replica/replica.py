"""One process in the revocation protocol: its parts are wired, started and ended in order."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import structlog

from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.books import Upkeep, upkeep
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Store
from keyauthority.domain.sessions import Terms
from keyauthority.replica.cached import CAPACITY, ReplicaCache
from keyauthority.replica.fence import SessionFence
from keyauthority.replica.following import Following
from keyauthority.replica.lateness import Lateness
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.sweeping import SWEPT_EVERY, Sweeper
from keyauthority.replica.syncing import Syncing
from keyauthority.replica.watch import Watch

log = structlog.get_logger()


class Replica:
    """One process of the authority.

    Args:
        store: The books.
        alone: Whether no other process can write them.
        now: The clock of leases.
        metrics: Where all of it is counted.
        sweep_every: Seconds from one look for silent verifiers to the next.
    """

    def __init__(
        self,
        store: Store,
        *,
        alone: bool,
        now: Callable[[], float],
        metrics: ReplicaMetrics,
        sweep_every: float = SWEPT_EVERY,
    ) -> None:
        self.alone = alone
        self.cache: ReplicaCache = CoherentCache(CAPACITY)
        self.watch = Watch(store)
        lateness = Lateness(store.sessions, metrics)
        self.fence = SessionFence(store.sessions, self.watch, lateness, now, metrics)
        self.syncing = Syncing(store.sessions, self.watch, self.fence, lateness, metrics)
        self._store = store
        self._now = now
        self._sweeper = Sweeper(store, now, metrics, sweep_every, self.fence.session_removed)
        name = f"authority {socket.gethostname()}:{os.getpid()}"
        self._following = Following(self.cache, store.sessions, self.watch, self.fence, name, now)
        metrics.lease_held.set_function(lambda: self.cache.holds_lease(now()))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes part while the context lasts, which ends after the last change.

        Raises `KeyAuthorityError` if the books can't be read.
        """
        await self._begin()
        runs = (self.watch.run(), self._following.run(), self._sweeper.run())
        tasks = [asyncio.create_task(run) for run in runs]
        try:
            await self._first_lease()
            yield
        finally:
            await self.syncing.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._following.leave()
            with suppress(KeyAuthorityError):
                await self._end()

    def can_answer(self) -> bool:
        """Returns whether answers may be given, if the books can be read."""
        return self.alone or self.cache.holds_lease(self._now())

    def leave(self) -> None:
        """Notes that the process is stopping: from now on an outage ends the waiting at the fence."""
        self.fence.closing = True

    @property
    def grace(self) -> float:
        """Seconds that calls under way may need at a stop: W, and one more."""
        return self.fence.longest_wait + 1.0

    async def _begin(self) -> None:
        await self.watch.look()

        async def begin(books: Upkeep) -> tuple[bool, Terms]:
            clean = not self.alone or await books.begin_leases()
            return clean, await books.terms()

        clean, terms = await upkeep(self._store, begin)
        self.fence.longest_wait = wait_out(terms.longest_lease)
        if not clean:
            # The last process died with its book of sessions, whose leases may be in force.
            self.fence.settled = self._now() + self.fence.longest_wait
            log.info("waiting_out_leases", seconds=round(self.fence.longest_wait, 2))

    async def _first_lease(self) -> None:
        # With several processes nothing is answered without a lease.
        with suppress(TimeoutError):
            async with asyncio.timeout(self.fence.longest_wait):
                await self._following.leased.wait()

    async def _end(self) -> None:
        if self.alone and self._now() >= self.fence.settled:
            standing = await self._store.sessions.standing()
            if not standing.sessions and not standing.terms.settling:
                await upkeep(self._store, lambda books: books.end_leases())
