"""Where holds are begun and extended, out of what is free or in their turn."""

from __future__ import annotations

import secrets
from itertools import count

from keyauthority.client.spending.counters import Counters
from keyauthority.client.spending.ends import Ends
from keyauthority.client.spending.holding import Spending
from keyauthority.client.spending.records import SpooledCharge, SpoolError
from keyauthority.client.spending.request import Request, SpendingUnavailable
from keyauthority.client.spending.settling import Settling
from keyauthority.client.spending.spool import Spool
from keyauthority.client.spending.waiting import Waiting
from keyauthority.client.spending.workspace import WorkspaceCredits
from keyauthority.client.verifier import Verifier
from keyauthority.domain.verdicts import VerifiedKey
from keyauthority.escrow.purse import joined
from keyauthority.escrow.slices import SliceKey, at_least


class Desk:
    """A spender's holds, each of which is in the spool before anybody goes by it.

    Args:
        verifier: Whose session and lease the credits are spent under.
        spool: Where they are written.
        settling: Asks for more.
        waiting: Where requests wait for more.
        ends: Where holds end.
        counters: Count the holds.
    """

    def __init__(
        self,
        verifier: Verifier,
        spool: Spool,
        settling: Settling,
        waiting: Waiting,
        ends: Ends,
        counters: Counters,
    ) -> None:
        self.ends = ends
        self._verifier = verifier
        self._spool = spool
        self._settling = settling
        self._waiting = waiting
        self._counters = counters
        self._prefix = secrets.token_hex(16)
        self._numbers = count()

    def take(self, workspace: WorkspaceCredits, amount: int) -> dict[SliceKey, int] | None:
        """Returns *amount* of what is free, under the lease; None if there is less, or others wait."""
        if workspace.line.waiters:
            return None
        return self._take(workspace, amount)

    def begin(
        self,
        workspace: WorkspaceCredits,
        parts: dict[SliceKey, int],
        key: VerifiedKey,
        request: Request,
    ) -> Spending:
        """Returns the hold of *parts*, which were taken for *request*.

        Raises `SpendingUnavailable` if it can't be written down; then nothing is held.
        """
        charge = SpooledCharge(
            f"{self._prefix}{next(self._numbers)}",
            sum(parts.values()),
            parts,
            workspace.id,
            key.id,
            request.model,
            request.path,
            request.request_id,
            request.price_id,
            {},
        )
        try:
            self._spool.hold(charge)
        except SpoolError as error:
            raise self._refused(workspace, parts, error) from None
        self._counters.holds += 1
        workspace.holds += 1
        return Spending(self, workspace, charge)

    def try_extend(self, spending: Spending, amount: int) -> bool:
        """Holds *amount* more if that needs no call; returns whether it does."""
        at_least(0, amount=amount)
        if spending.ended:
            return False
        # It stands before those who wait: they are to begin.
        more = self._take(spending.workspace, amount)
        if more is None:
            return False
        self._add(spending, more)
        return True

    async def extend(self, spending: Spending, amount: int, least: int) -> None:
        """Holds *amount* more, or what is left, if that is at least *least*."""
        if not spending.ended and not self.try_extend(spending, amount):
            more = await self._waiting.wait(spending.workspace, amount, least, extends=True)
            self._add(spending, more)

    def _take(self, workspace: WorkspaceCredits, amount: int) -> dict[SliceKey, int] | None:
        if not self._verifier.lease_held:
            return None
        parts = workspace.take(amount, self._verifier.session_id)
        if workspace.is_low:
            self._settling.prompt(workspace)
        return parts

    def _add(self, spending: Spending, more: dict[SliceKey, int]) -> None:
        if spending.ended:
            spending.workspace.void(more)
            return
        parts = joined(spending.parts, more)
        try:
            self._spool.extend(spending.reference, parts)
        except SpoolError as error:
            raise self._refused(spending.workspace, more, error) from None
        spending.extended(parts)

    def _refused(
        self, workspace: WorkspaceCredits, parts: dict[SliceKey, int], error: SpoolError
    ) -> SpendingUnavailable:
        workspace.void(parts)
        self._counters.unavailable += 1
        return SpendingUnavailable(str(error))
