"""What a request asks for, and the price that it goes by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from aiohttp import hdrs

from gateway.billing.bodies import Bodies
from gateway.billing.cost import Work
from gateway.envelope import Refusal
from gateway.metering.asking import ask_for_usage, lacks_usage
from gateway.metering.going_by import FREE_METHODS, Priced, Pricing, Unpriced
from gateway.metering.request import AmbiguousRequestError, Asked, read_request
from gateway.observe import Complaint
from gateway.paths import split_target
from gateway.pool import SMALL
from gateway.request import EdgeRequest, RequestBody
from keyauthority.client import SpendingUnavailable
from keyauthority.pricing.prices import PriceTable

Body = bytes | RequestBody | None


class Reading(NamedTuple):
    """A request as it is sent, and what it has the upstream do."""

    body: Body
    # None if it costs nothing, or nobody knows what.
    work: Work | None = None
    # Whether the upstream is asked for a usage that the client did not ask for.
    strips_usage: bool = False
    # Why nobody knows what it costs.
    refusal: Refusal | None = None


class Reader:
    """Finds out what requests ask for, and by which price they go.

    Args:
        pricing: Finds the prices.
        table: Returns the prices of the requests that have arrived, where *pricing* has none; raises
            `SpendingUnavailable`.
        bodies: Awaits the bodies of requests.
    """

    def __init__(
        self, pricing: Pricing, table: Callable[[], Awaitable[PriceTable]], bodies: Bodies
    ) -> None:
        self._pricing = pricing
        self._table = table
        self._bodies = bodies
        self._complaint = Complaint("prices_unavailable")

    async def read(
        self, request: EdgeRequest, path: str, key_id: str, body: Body
    ) -> Reading | Refusal:
        """Returns how *request*, with the raw *path*, is sent and priced; a refusal of its body."""
        if isinstance(body, RequestBody):
            content = await self._bodies.read(body, key_id)
        else:
            content = self._bodies.whole(body)
        if isinstance(content, Refusal):
            return content
        size = _size(body) if content is None else len(content)
        try:
            priced = await self._price(request, path, content, size)
        except SpendingUnavailable as outage:
            self._complaint.log(str(outage))
            priced = Refusal.BILLING_UNAVAILABLE
        if priced is Unpriced.FREE or isinstance(priced, Refusal):
            refusal = priced if isinstance(priced, Refusal) else None
            return Reading(_sent(body, content), refusal=refusal)
        work = Work(priced, size)
        if content is not None and lacks_usage(path, priced.asked):
            return Reading(_sent(body, ask_for_usage(content)), work, strips_usage=True)
        return Reading(_sent(body, content), work)

    async def _price(
        self, request: EdgeRequest, path: str, content: bytes | None, size: int
    ) -> Priced | Literal[Unpriced.FREE] | Refusal:
        try:
            asked = None
            if request.method not in FREE_METHODS:
                asked = _asked(request, path, content or None)
            try:
                priced = self._pricing.of(request.method, path, asked, size)
            except SpendingUnavailable:
                # At the start, after each change of the prices, and without a lease.
                table, now = await self._table(), datetime.now(UTC)
                pricing = replace(
                    self._pricing, lookup=lambda model, place: table.find(model, place, now)
                )
                priced = pricing.of(request.method, path, asked, size)
        except AmbiguousRequestError:
            return Refusal.BAD_REQUEST
        return Refusal.MODEL_NOT_PRICED if priced is Unpriced.NOT_PRICED else priced


def _asked(request: EdgeRequest, path: str, content: bytes | None) -> Asked | None:
    # Raises AmbiguousRequestError.
    headers = request.headers
    kinds = headers.getall(hdrs.CONTENT_TYPE, ("",))
    if len(kinds) > 1:
        raise AmbiguousRequestError("the body has two types")
    codings = headers.getall(hdrs.CONTENT_ENCODING, ())
    if any(coding.strip().lower() not in ("", "identity") for coding in codings):
        raise AmbiguousRequestError("the body is compressed, so what it asks for can't be read")
    _, query = split_target(request.raw_path)
    return read_request(path, kinds[0], content, query)


def _size(body: Body) -> int:
    # Of a body that is too large to be looked at.
    if isinstance(body, RequestBody):
        return max(body.received, body.length or 0)
    return len(body or b"")


def _sent(body: Body, content: bytes | None) -> Body:
    # What is sent of *content*, once *body* was read; None if it was not.
    if content is None:
        return body
    if not isinstance(body, RequestBody):
        return content or None
    if len(content) <= SMALL:
        # It is sent at once; its bytes are few, and stay for another attempt.
        body.release()
        return content or None
    body.replace(content)
    return body
