"""What a request asks for, and the price that it goes by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import hdrs

from gateway.envelope import Refusal
from gateway.metering.going_by import FREE_METHODS, Priced, Pricing, Unpriced
from gateway.metering.request import AmbiguousRequestError, Asked, read_request
from gateway.observe import Complaint
from gateway.paths import split_target
from gateway.request import EdgeRequest
from keyauthority.client import SpendingUnavailable
from keyauthority.pricing.prices import PriceTable


class Reader:
    """Finds out what requests ask for, and by which price they go.

    Args:
        pricing: Finds the prices.
        table: Returns the prices of the requests that have arrived, where *pricing* has none; raises
            `SpendingUnavailable`.
    """

    def __init__(self, pricing: Pricing, table: Callable[[], Awaitable[PriceTable]]) -> None:
        self._pricing = pricing
        self._table = table
        self._complaint = Complaint("prices_unavailable")

    async def read(
        self, request: EdgeRequest, path: str, content: bytes | None, size: int
    ) -> Priced | Refusal | None:
        """Returns what *request*, with the raw *path*, goes by; None if it costs nothing.

        *content* is its body, None if that is not looked at, and *size* the bytes of that. A refusal
        says why nobody knows what it costs.
        """
        try:
            asked = None
            if request.method not in FREE_METHODS:
                asked = _asked(request, path, content or None)
            try:
                priced = self._pricing.of(request.method, path, asked, size)
            except SpendingUnavailable:
                priced = (await self._current()).of(request.method, path, asked, size)
        except AmbiguousRequestError:
            return Refusal.BAD_REQUEST
        except SpendingUnavailable as outage:
            self._complaint.log(str(outage))
            return Refusal.BILLING_UNAVAILABLE
        if priced is Unpriced.NOT_PRICED:
            return Refusal.MODEL_NOT_PRICED
        return None if priced is Unpriced.FREE else priced

    async def _current(self) -> Pricing:
        # At the start, after each change of the prices, and without a lease.
        table, now = await self._table(), datetime.now(UTC)
        return replace(self._pricing, lookup=lambda model, path: table.find(model, path, now))


def _asked(request: EdgeRequest, path: str, content: bytes | None) -> Asked | None:
    # Raises AmbiguousRequestError.
    headers = request.headers
    kinds = headers.getall(hdrs.CONTENT_TYPE, ("",))
    if len(kinds) > 1:
        raise AmbiguousRequestError("the body has two types")
    if hdrs.CONTENT_ENCODING in headers:
        codings = headers.getall(hdrs.CONTENT_ENCODING)
        if any(coding.strip().lower() not in ("", "identity") for coding in codings):
            raise AmbiguousRequestError("the body is compressed, so what it asks for can't be read")
    _, query = split_target(request.raw_path)
    return read_request(path, kinds[0], content, query)
