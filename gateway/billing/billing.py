"""Billing: the credits that are held for a request before it is forwarded."""

from __future__ import annotations

from gateway.bill_metrics import BillCounters
from gateway.billing.bill import Bill
from gateway.billing.bodies import Bodies
from gateway.billing.reading import Reader
from gateway.connection import SMALL
from gateway.metering.asking import ask_for_usage, lacks_usage
from gateway.metering.going_by import Priced
from gateway.observe import Complaint
from gateway.request import EdgeRequest, RequestBody
from keyauthority.client import (
    AllHeld,
    OutOfCredits,
    Request,
    Spender,
    SpendingUnavailable,
    VerifiedKey,
)
from keyauthority.edge.envelope import Refusal

Body = bytes | RequestBody | None


class Billing:
    """Opens the bills of requests.

    Args:
        spender: Holds the credits. None: nothing is held, charged and refused, only counted.
        reader: Finds the prices.
        bodies: Awaits the bodies of requests.
        counters: Where bills are counted.
        exhausted: What clients without credits are answered.
        holds_all: Whether a request is refused for which less is left than is to be held.
    """

    def __init__(
        self,
        spender: Spender | None,
        reader: Reader,
        bodies: Bodies,
        counters: BillCounters,
        exhausted: Refusal,
        *,
        holds_all: bool,
    ) -> None:
        self._spender = spender
        self._reader = reader
        self._bodies = bodies
        self._counters = counters
        self._exhausted = exhausted
        self._holds_all = holds_all
        self._complaint = Complaint("billing_unavailable")

    async def open(
        self, request: EdgeRequest, path: str, key: VerifiedKey, body: Body
    ) -> tuple[Body, Bill | None] | Refusal:
        """Returns what to forward once credits are held for it, or why it is refused.

        It is the body, and the bill, which whoever gets it has to close; None if it costs nothing.
        """
        if body is None or isinstance(body, bytes):
            content = self._bodies.whole(body)
        else:
            read = await self._bodies.read(body, key.id)
            if isinstance(read, Refusal):
                return read
            content = read
        size = _size(body) if content is None else len(content)
        try:
            priced = self._reader.read(request, path, content, size)
        except SpendingUnavailable:
            priced = await self._reader.read_anew(request, path, content, size)
        if not isinstance(priced, Priced):
            if priced is not None and self._spender is not None:
                return priced
            self._counters.unpriced += priced is not None
            return _sent(body, content), None
        strips_usage = content is not None and lacks_usage(priced.asked)
        if strips_usage and content is not None:
            content = ask_for_usage(content)
        bill = Bill(
            priced,
            _sent(body, content),
            strips_usage=strips_usage,
            counters=self._counters,
            exhausted=self._exhausted,
        )
        if self._spender is not None:
            use = Request(priced.asked.model, path, request.id, priced.price.id)
            least = priced.hold if self._holds_all else 1
            try:
                spending = self._spender.take(key, priced.hold, use)
                if spending is None:
                    spending = await self._spender.wait(key, priced.hold, use, least=least)
            except (OutOfCredits, AllHeld, SpendingUnavailable) as error:
                return self._refusal(error)
            bill.cover(spending)
        return bill.body, bill

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

    def _refusal(self, error: OutOfCredits | AllHeld | SpendingUnavailable) -> Refusal:
        if isinstance(error, OutOfCredits):
            return self._exhausted
        if isinstance(error, AllHeld):
            return Refusal.IN_FLIGHT_BUDGET_EXHAUSTED
        self._complaint.log(str(error))
        return Refusal.BILLING_UNAVAILABLE


def _size(body: Body) -> int:
    # Of a body that is too large to be looked at.
    if isinstance(body, RequestBody):
        return max(body.received, body.length or 0)
    return len(body or b"")


def _sent(body: Body, content: bytes | None) -> Body:
    # What is sent of *content*, once *body* was read; None if it was not.
    if content is None:
        return body
    if body is None or isinstance(body, bytes):
        return content or None
    if len(content) <= SMALL:
        # It is sent at once; its bytes are few, and stay for another attempt.
        body.release()
        return content or None
    body.replace(content)
    return body
