"""The fence, waiting: see `keyauthority.coherence.fence` for what it waits for."""

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
"""Seconds between two looks at the sessions: they may have acknowledged to another process."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Waiting:
    # A change that waits, and who is to be told.
    fence: Fence
    revision: int
    committed: float
    passed: asyncio.Future[Receipt]
    late: bool = False


class SessionFence:
    """`Fence` over the sessions in the books, which are looked at once for all changes that wait.

    Args:
        sessions: The verifiers that may hold a lease.
        watch: Is told of each change, so that those connected here hear of it at once.
        lateness: Is told which changes wait for late verifiers.
        now: The clock of leases.
        metrics: Where waits are counted.
    """

    def __init__(
        self,
        sessions: Sessions,
        watch: Watch,
        lateness: Lateness,
        now: Callable[[], float],
        metrics: ReplicaMetrics,
    ) -> None:
        self.settled = -math.inf
        """Until when leases may be in force that the books know nothing of."""
        self.longest_wait = 0.0
        """W, in seconds: the longest that a change waits, as far as is known."""
        self.closing = False
        """Whether the process is to end: then an outage of the database ends the waiting as well."""
        self._sessions = sessions
        self._lateness = lateness
        self._watch = watch
        self._now = now
        self._metrics = metrics
        self._acknowledged = asyncio.Event()
        self._waiting: list[_Waiting] = []
        self._looking: asyncio.Task[None] | None = None

    def acknowledged(self) -> None:
        """A session has acknowledged something: look now."""
        self._acknowledged.set()

    async def wait(self, revision: int) -> Receipt:
        """Returns when every verifier has applied *revision* or its lease is over.

        The change it is about is committed: whoever calls this has awaited that.
        Raises `KeyAuthorityError` if the database can't be read while the process is to end.
        """
        committed = self._now()
        self._watch.advanced(revision)
        passed: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(Fence(committed, self.settled), revision, committed, passed)
        self._waiting.append(waiting)
        self._acknowledged.set()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        with self._metrics.fences_open.track_inprogress():
            try:
                receipt = await passed
            finally:
                if waiting in self._waiting:
                    self._waiting.remove(waiting)
        self._metrics.fence_seconds.observe(receipt.waited.total_seconds())
        self._metrics.waited_out.inc(receipt.leases_waited_out)
        return receipt

    async def _look(self) -> None:
        while self._waiting:
            self._acknowledged.clear()
            # Those who come during the look were committed after it began, perhaps: they wait for
            # the next one.
            waiting = list(self._waiting)
            try:
                self._judge(waiting, await self._sessions.standing())
            except KeyAuthorityError as outage:
                # What they wait for may have come, but nobody may be told by guess.
                if self.closing:
                    self._give_up(waiting, outage)
            except Exception as error:
                log.exception("sessions_unknown")
                if self.closing:
                    self._give_up(waiting, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._acknowledged.wait()

    def _judge(self, waiting: list[_Waiting], standing: Standing) -> None:
        now = self._now()
        self.longest_wait = wait_out(standing.terms.longest_lease)
        late = 0
        for one in waiting:
            counts = standing.at(one.revision)
            passed = one.fence.look(
                counts.acknowledged,
                counts.behind,
                counts.longest_lease,
                now,
                settling=standing.terms.settling,
            )
            # Once while it waits, and once more when a lease was waited out to its end: a shorter one
            # may have come to be all that is in force meanwhile.
            waited_out = passed is not None and passed.waited_out > 0
            if waited_out or (one.fence.late and not one.late):
                one.late, late = True, max(late, one.revision)
            if passed is not None and not one.passed.done():
                waited = timedelta(seconds=now - one.committed)
                one.passed.set_result(
                    Receipt(one.revision, passed.acknowledged, passed.waited_out, waited)
                )
                self._waiting.remove(one)
        if late:
            self._lateness.of(late, standing.terms.lease)

    def _give_up(self, waiting: list[_Waiting], error: Exception) -> None:
        for one in waiting:
            if not one.passed.done():
                one.passed.set_exception(error)
                self._waiting.remove(one)
