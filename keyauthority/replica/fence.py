"""The fence at work: `keyauthority.coherence.fence` says what a change waits for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from keyauthority.coherence.fence import Fence
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Sessions
from keyauthority.domain.sessions import Receipt, Standing
from keyauthority.replica.lateness import Lateness
from keyauthority.replica.metrics import ReplicaMetrics
from keyauthority.replica.watch import Watch

POLL: Final = 0.01
"""Seconds between two looks at the sessions, at most: they may have acknowledged to another process."""

SHORTEST: Final = 0.002
"""The same, at least."""

REST: Final = 4
"""How many times as long as a quick look the pause after it is."""


def pause_after(look: float) -> float:
    """Returns for how many seconds to pause after a look that took *look* seconds.

    Where looks are quick, acknowledgements to other processes are seen soon. Slow ones are as many as
    `POLL` allows.
    """
    return min(max(REST * look, SHORTEST), POLL)


log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    # A change that waits, and the future of its receipt.
    fence: Fence
    revision: int
    committed: float
    receipt: asyncio.Future[Receipt]
    late: bool = False
    # Sessions that it waited for until their leases were over, and that are gone by now.
    gone: int = 0


class SessionFence:
    """`Fence` over the sessions in the books; one look at them serves all changes that wait.

    Args:
        sessions: The sessions of verifiers that may hold a lease.
        watch: Wakes the verifiers connected here at each change.
        lateness: Shortens the leases of verifiers that changes wait for.
        now: The clock of leases.
        metrics: Where waits are counted.
        pause_after: How long to pause after a look, which took so long, unless something brings the next
            one forward. Seconds.
    """

    def __init__(
        self,
        sessions: Sessions,
        watch: Watch,
        lateness: Lateness,
        now: Callable[[], float],
        metrics: ReplicaMetrics,
        pause_after: Callable[[float], float] = pause_after,
    ) -> None:
        self.settled = -math.inf
        """The time until which leases may be in force that the books know nothing of."""
        self.longest_wait = 0.0
        """W, in seconds: the longest that a change waits, by the terms that were read last."""
        self.closing = False
        """Whether the process is stopping: then an outage of the database ends the waiting too."""
        self._sessions = sessions
        self._lateness = lateness
        self._watch = watch
        self._now = now
        self._metrics = metrics
        self._pause_after = pause_after
        self._due = asyncio.Event()
        self._waiting: list[_Waiting] = []
        # Of the oldest revision waited for: how many sessions were behind at the last look, and how
        # many acknowledgements have been heard of since it began.
        self._oldest: float = math.inf
        self._behind = 1
        self._heard = 0
        self._looking: asyncio.Task[None] | None = None

    def acknowledged(self, revision: int) -> None:
        """Notes that a session has acknowledged *revision*, at this process.

        Has the sessions looked at now if a wait may be over by that. It decides nothing: one that is
        noted twice brings the look forward, and one that is lost leaves it to the poll.
        """
        if revision >= self._oldest:
            self._heard += 1
            if self._heard >= self._behind:
                self._due.set()

    def session_ended(self) -> None:
        """Has the sessions looked at now, since there is one less to wait for."""
        self._due.set()

    def session_removed(self, acknowledged: int) -> None:
        """Notes that this process removed a session, whose lease was over.

        Receipts count it among the leases that were waited out. What another process removes is in
        none.
        """
        for change in self._waiting:
            change.gone += acknowledged < change.revision
        self._due.set()

    def announce(self, revision: int) -> None:
        """Wakes the verifiers connected here for *revision*, whose commit returned."""
        self._watch.advanced(revision)

    async def wait(self, revision: int) -> Receipt:
        """Returns when every verifier has applied *revision*, whose commit returned, or has no lease.

        Raises `KeyAuthorityError` if the database can't be read while the process is stopping.
        """
        committed = self._now()
        self.announce(revision)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(Fence(committed, self.settled), revision, committed, future)
        self._waiting.append(waiting)
        self._due.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        with self._metrics.fences_open.track_inprogress():
            try:
                receipt = await future
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
        self._metrics.fence_seconds.observe(receipt.waited.total_seconds())
        self._metrics.waited_out.inc(receipt.leases_waited_out)
        return receipt

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            self._due.clear()
            self._heard = 0
            # A change that comes during this look may be committed after the sessions are read: it
            # waits for the next look.
            waiting = list(self._waiting)
            began = loop.time()
            try:
                self._judge(waiting, await self._sessions.standing())
            except Exception as error:
                if not isinstance(error, KeyAuthorityError):
                    log.exception("sessions_unknown")
                if self.closing:
                    self._give_up(waiting, error)
                # One that fails may fail at once.
                began -= POLL
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_after(loop.time() - began)):
                    await self._due.wait()
        self._oldest = math.inf

    def _judge(self, waiting: list[_Waiting], standing: Standing) -> None:
        now = self._now()
        self.longest_wait = wait_out(standing.terms.longest_lease)
        late = 0
        for change in waiting:
            counts = standing.at(change.revision)
            passed = change.fence.look(counts, now)
            # Lateness is marked once during the wait, and again if a lease was waited out to its end:
            # by then a shorter lease may be all that is in force.
            if (passed and counts.behind) or (change.fence.late and not change.late):
                change.late, late = True, max(late, change.revision)
            if passed and not change.receipt.done():
                waited = timedelta(seconds=now - change.committed)
                change.receipt.set_result(
                    Receipt(
                        change.revision, counts.acknowledged, counts.behind + change.gone, waited
                    )
                )
                self._waiting.remove(change)
        if late:
            self._lateness.mark(late, standing.terms.lease)
        self._expect(standing)

    def _expect(self, standing: Standing) -> None:
        self._oldest = min((change.revision for change in self._waiting), default=math.inf)
        if self._waiting:
            # While leases are waited out that the books don't know of, any may be the last.
            self._behind = max(standing.at(int(self._oldest)).behind, 1)
            if self._heard >= self._behind:
                self._due.set()

    def _give_up(self, waiting: list[_Waiting], error: Exception) -> None:
        # The sessions may have acknowledged, but a receipt needs to know.
        for change in waiting:
            if not change.receipt.done():
                change.receipt.set_exception(error)
                self._waiting.remove(change)
