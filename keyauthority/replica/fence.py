"""The fence, waiting: see `keyauthority.coherence.fence` for what it waits for."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from datetime import timedelta
from typing import Final

from keyauthority import boottime
from keyauthority.coherence.fence import Fence
from keyauthority.coherence.leases import wait_out
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.fencing import Receipt
from keyauthority.domain.ports import Sessions
from keyauthority.replica import metrics
from keyauthority.replica.watch import Watch

POLL: Final = 0.01
"""Seconds between two looks at the sessions: they may have acknowledged to another process."""


class SessionFence:
    """`Fence` over the sessions in the books.

    Args:
        sessions: The verifiers that may hold a lease.
        watch: Is told of the change, so that those connected here hear of it at once.
    """

    def __init__(self, sessions: Sessions, watch: Watch) -> None:
        self.settled = -math.inf
        """Until when leases may be in force that the books know nothing of."""
        self.longest_wait = 0.0
        """W, in seconds: the longest that a change waits, as far as is known."""
        self.closing = False
        """Whether the process is to end: then an outage of the database ends the wait as well."""
        self._sessions = sessions
        self._watch = watch
        self._acknowledged = asyncio.Event()

    def acknowledged(self) -> None:
        """A session has acknowledged something: look now."""
        self._acknowledged.set()
        self._acknowledged = asyncio.Event()

    async def wait(self, revision: int) -> Receipt:
        """Returns when every verifier has applied *revision* or its lease is over.

        The change it is about is committed: whoever calls this has awaited that.
        """
        committed = boottime.now()
        self._watch.advanced(revision)
        fence = Fence(committed, self.settled)
        metrics.FENCES_OPEN.inc()
        try:
            receipt = await self._passed(fence, revision, committed)
        finally:
            metrics.FENCES_OPEN.dec()
        metrics.FENCE_SECONDS.observe(receipt.waited.total_seconds())
        metrics.WAITED_OUT.inc(receipt.leases_waited_out)
        return receipt

    async def _passed(self, fence: Fence, revision: int, committed: float) -> Receipt:
        while True:
            acknowledged = self._acknowledged
            try:
                standing = await self._sessions.behind(revision)
            except KeyAuthorityError:
                # The change is made, and nobody may be told sooner: an outage of the database has
                # to end first, unless this process does.
                if self.closing:
                    raise
            else:
                now = boottime.now()
                self.longest_wait = wait_out(standing.terms.longest_lease)
                passed = fence.look(
                    standing.acknowledged,
                    standing.behind,
                    standing.terms.longest_lease,
                    now,
                    settling=standing.terms.settling,
                )
                if passed is not None:
                    waited = timedelta(seconds=now - committed)
                    return Receipt(revision, passed.acknowledged, passed.waited_out, waited)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await acknowledged.wait()
