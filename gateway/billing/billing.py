"""Billing: the credits that are held for a request before it is forwarded."""

from __future__ import annotations

from typing import NamedTuple

from gateway.bill_metrics import BillCounters
from gateway.billing.bill import Bill
from gateway.billing.reading import Body, Reader
from gateway.envelope import Refusal
from gateway.observe import Complaint
from gateway.request import EdgeRequest
from keyauthority.client import (
    AllHeld,
    OutOfCredits,
    Request,
    Spender,
    Spending,
    SpendingUnavailable,
    VerifiedKey,
)


class Opened(NamedTuple):
    """A request that may be forwarded, with *body*, and its bill; None if it costs nothing."""

    body: Body
    bill: Bill | None


class Billing:
    """Opens the bills of requests.

    Args:
        spender: Holds the credits. None: nothing is held, charged and refused, only counted.
        reader: Finds the prices.
        counters: Where bills are counted.
        exhausted: What clients without credits are answered.
        holds_all: Whether a request is refused for which less is left than is to be held.
    """

    def __init__(
        self,
        spender: Spender | None,
        reader: Reader,
        counters: BillCounters,
        exhausted: Refusal,
        *,
        holds_all: bool,
    ) -> None:
        self._spender = spender
        self._reader = reader
        self._counters = counters
        self._exhausted = exhausted
        self._holds_all = holds_all
        self._complaint = Complaint("billing_unavailable")

    async def open(
        self, request: EdgeRequest, path: str, key: VerifiedKey, body: Body
    ) -> Opened | Refusal:
        """Returns what to forward once credits are held for it, or why it is refused.

        Whoever gets a bill has to close it.
        """
        reading = await self._reader.read(request, path, key.id, body)
        if isinstance(reading, Refusal):
            return reading
        if reading.refusal is not None:
            if self._spender is not None:
                return reading.refusal
            self._counters.unpriced += 1
        work = reading.work
        if work is None:
            return Opened(reading.body, None)
        bill = Bill(
            work,
            reading.body,
            strips_usage=reading.strips_usage,
            counters=self._counters,
            exhausted=self._exhausted,
        )
        if self._spender is not None:
            use = Request(work.priced.asked.model, path, request.id, work.priced.price.id)
            spending = await self._spending(self._spender, key, work.first_hold, use)
            if isinstance(spending, Refusal):
                return spending
            bill.cover(spending)
        return Opened(reading.body, bill)

    async def check(self, key: VerifiedKey) -> Refusal | None:
        """Returns why a request of *key* that cost something would be refused now, holding nothing."""
        if self._spender is None:
            return None
        try:
            await self._spender.check(key)
        except (OutOfCredits, AllHeld, SpendingUnavailable) as error:
            return self._refusal(error)
        return None

    async def available(self, key: VerifiedKey) -> int | Refusal | None:
        """Returns the nano-credits of the workspace of *key* that are neither spent nor set apart.

        None if nobody charges it here.
        """
        if self._spender is None:
            return None
        try:
            return await self._spender.available(key.workspace_id)
        except SpendingUnavailable as outage:
            return self._refusal(outage)

    async def _spending(
        self, spender: Spender, key: VerifiedKey, amount: int, use: Request
    ) -> Spending | Refusal:
        try:
            spending = spender.take(key, amount, use)
            if spending is None:
                least = amount if self._holds_all else 1
                spending = await spender.wait(key, amount, use, least=least)
        except (OutOfCredits, AllHeld, SpendingUnavailable) as error:
            return self._refusal(error)
        return spending

    def _refusal(self, error: OutOfCredits | AllHeld | SpendingUnavailable) -> Refusal:
        if isinstance(error, OutOfCredits):
            return self._exhausted
        if isinstance(error, AllHeld):
            return Refusal.IN_FLIGHT_BUDGET_EXHAUSTED
        self._complaint.log(str(error))
        return Refusal.BILLING_UNAVAILABLE
