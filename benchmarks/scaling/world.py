"""The authority in virtual time: replicas around one database, and the verifiers that follow them.

What is decided is decided by what is shipped (`keyauthority.coherence`, `domain.gathering` and
`replica.fence`). This is the rest of `keyauthority.replica` and `keyauthority.client.following`, with a
cost wherever those take time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias, cast

from prometheus_client import CollectorRegistry

from benchmarks.scaling.costs import Costs
from benchmarks.scaling.virtual import Processor, now
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.entries import Cached
from keyauthority.coherence.sessions import SessionBook, credited
from keyauthority.domain.gathering import Gathering
from keyauthority.domain.sessions import Claim, Grant, Head, Standing, Terms
from keyauthority.replica.fence import SessionFence
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.watch import POLL
from keyauthority.storage.postgres.renewing import AT_ONCE, TOGETHER

Request: TypeAlias = tuple[str, Claim]

LEASE: Final = timedelta(seconds=3)
WAIT: Final = LEASE.total_seconds() / 4
"""Seconds that a poll is held: `keyauthority.client.following`."""

TERMS: Final = Terms(LEASE, LEASE, settling=False, foreign_secrets=False)


@dataclass(slots=True)
class Books:
    """The database: the head, what changed, and the sessions. *local*: it is in the one process."""

    costs: Costs
    local: bool = False
    revision: int = 0
    changes: list[str] = field(default_factory=list)
    book: SessionBook = field(default_factory=SessionBook)
    machine: Processor = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Processor(int(self.costs.database_cores))

    def acknowledge(self, session_id: str, claim: Claim) -> int:
        """Notes what a session claims; returns the revision that it is credited with."""
        revision = credited(claim, Head(1, self.revision))
        self.book.beat(session_id, "")
        self.book.acknowledge(session_id, revision)
        return revision

    def grant(self, session_id: str, claim: Claim) -> Grant:
        """Grants a session a lease, with what changed since its claim."""
        head = Head(1, self.revision)
        subjects = tuple(self.changes[claim.revision :]) if claim.epoch else None
        return Grant(session_id, head, LEASE, subjects, foreign_secrets=False)


class Replica:
    """One process of the authority, *trip* seconds (there and back) away from the database."""

    def __init__(self, books: Books, trip: float = 0.0, cpu: Processor | None = None) -> None:
        self.books = books
        self.trip = trip
        self.cpu = cpu or Processor()
        self.head = 0
        self._held: list[asyncio.Future[None]] = []
        self._sync = books.costs.seconds("sync_sqlite" if books.local else "sync_postgres")
        self._renewals = _gathering(self._renewed)
        # The shipped fence, over these books and this clock. It shortens nobody's lease.
        metrics = ReplicaMetrics(CollectorRegistry())
        self.fence = SessionFence(
            cast("Any", self), cast("Any", self), cast("Any", self), now, metrics
        )

    async def statement(self, seconds: float) -> None:
        """Has the database work for so many *seconds* of its CPU, and waits for the answer."""
        if not self.books.local:
            await asyncio.sleep(self.trip / 2)
            await self.books.machine.work(seconds)
            await asyncio.sleep(self.trip / 2)

    # --- polls

    async def sync(self, session_id: str, claim: Claim) -> Grant:
        """Holds a poll of a session until there is news, `WAIT` at most."""
        await self.cpu.work(self._sync)
        grant = await self._renewals.do((session_id, claim))
        if grant.subjects or grant.subjects is None or not await self._past(claim.revision):
            return grant
        await self.cpu.work(self._sync)
        return await self._renewals.do((session_id, claim))

    async def follow(self, name: str) -> None:
        """Keeps the session of the replica's own cache."""
        cache: CoherentCache[Cached] = CoherentCache(2)
        self.books.book.join(name, "")
        while True:
            call = cache.begin_sync(now())
            grant = await self._renewals.do((name, call.claim))
            cache.apply(call, name, grant.head, grant.subjects, grant.lease.total_seconds())
            if not grant.subjects:
                await self._past(grant.head.revision)

    async def _renewed(self, requests: Sequence[Request]) -> Sequence[Grant]:
        costs = self.books.costs
        more = costs.seconds("renew_database_each") * (len(requests) - 1)
        await self.statement(costs.seconds("renew_database") + more)
        for request in requests:
            self.fence.acknowledged(self.books.acknowledge(*request))
        return [self.books.grant(*request) for request in requests]

    async def _past(self, revision: int) -> bool:
        if self.head <= revision:
            held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._held.append(held)
            timer = asyncio.get_running_loop().call_later(WAIT, _release, held)
            await held
            timer.cancel()
        return self.head > revision

    # --- the head

    def advanced(self, revision: int) -> None:
        """Wakes the polls that wait for *revision*."""
        if self.head < revision:
            self.head = revision
            held, self._held = self._held, []
            for one in held:
                _release(one)

    async def watch(self, hinted: asyncio.Event) -> None:
        """Looks at the head at each hint, and now and then without."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await hinted.wait()
            hinted.clear()
            await self.statement(self.books.costs.seconds("renew_database"))
            self.advanced(self.books.revision)

    # --- what the fence asks of its sessions, and of lateness

    async def standing(self) -> Standing:
        """Reads what each session has acknowledged."""
        looking = self.books.costs.seconds("look_each") * len(list(self.books.book))
        if self.books.local:
            # Counted and judged in one step.
            await self.cpu.work(looking)
            return Standing(self.books.book.standing(), TERMS)
        await self.statement(looking)
        standing = Standing(self.books.book.standing(), TERMS)
        await self.cpu.work(looking)
        return standing

    def mark(self, revision: int, lease: timedelta) -> None:
        """Leaves the leases of late verifiers as they are."""


def _gathering(
    work: Callable[[Sequence[Request]], Awaitable[Sequence[Grant]]],
) -> Gathering[Request, Grant]:
    return Gathering(work, size=lambda _: 1, most=TOGETHER, at_once=AT_ONCE)


def _release(held: asyncio.Future[None]) -> None:
    if not held.done():
        held.set_result(None)


class Verifier:
    """One verifier, *trip* seconds (there and back) away from its replica."""

    def __init__(self, name: str, replica: Replica, trip: float, cpu: Processor) -> None:
        self.cache: CoherentCache[Cached] = CoherentCache(2)
        self._name = name
        self._replica = replica
        self._trip = trip
        self._cpu = cpu

    async def follow(self) -> None:
        """Sends one Sync after the other."""
        book = self._replica.books.book
        book.join(self._name, "")
        while True:
            call = self.cache.begin_sync(now())
            await self._cpu.work(self._replica.books.costs.seconds("sync_verifier"))
            await asyncio.sleep(self._trip / 2)
            grant = await self._replica.sync(self._name, call.claim)
            await asyncio.sleep(self._trip / 2)
            lease = grant.lease.total_seconds()
            self.cache.apply(call, self._name, grant.head, grant.subjects, lease)


class World:
    """Verifiers that follow replicas around one database, from virtual time 0."""

    def __init__(self, replicas: Sequence[Replica], verifiers: Sequence[Verifier]) -> None:
        self.replicas = replicas
        self.verifiers = verifiers
        self._books = replicas[0].books
        self._hints = [asyncio.Event() for _ in replicas]
        self._tasks: list[asyncio.Task[None]] = []

    async def settle(self, seconds: float) -> None:
        """Has everybody join within *seconds*, spread evenly, then waits for as long again."""
        for number, replica in enumerate(self.replicas):
            self._start(replica.watch(self._hints[number]))
            self._start(replica.follow(f"replica{number}"))
        for number, verifier in enumerate(self.verifiers):
            self._start(verifier.follow(), seconds * number / len(self.verifiers))
        await asyncio.sleep(2 * seconds)

    async def change(self, replica: Replica) -> tuple[float, int]:
        """Makes a change at *replica*; returns its seconds from commit to receipt, and who was waited out."""
        books = self._books
        books.revision += 1
        books.changes.append("key")
        start = now()
        for other, hinted in zip(self.replicas, self._hints, strict=True):
            if other is not replica:
                asyncio.get_running_loop().call_later(other.trip / 2, hinted.set)
        receipt = await replica.fence.wait(books.revision)
        return now() - start, receipt.leases_waited_out

    def leased(self) -> float:
        """Returns the share of verifiers that hold a lease now."""
        time = now()
        return sum(one.cache.holds_lease(time) for one in self.verifiers) / len(self.verifiers)

    def _start(self, work: object, after: float = 0.0) -> None:
        async def later() -> None:
            await asyncio.sleep(after)
            await work  # type: ignore[misc]

        self._tasks.append(asyncio.create_task(later()))
