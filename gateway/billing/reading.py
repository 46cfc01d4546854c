"""What a request asks for, and the price that it goes by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from aiohttp import hdrs
from multidict import CIMultiDictProxy

from gateway.metering.going_by import FREE_METHODS, Priced, Pricing, Unpriced
from gateway.metering.reader import is_coded
from gateway.metering.request import AmbiguousRequestError, read_request
from gateway.observe import Complaint
from gateway.request import EdgeRequest
from keyauthority.client import SpendingUnavailable
from keyauthority.edge.envelope import Refusal
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

    def read(
        self,
        request: EdgeRequest,
        path: str,
        content: bytes | None,
        size: int,
        pricing: Pricing | None = None,
    ) -> Priced | Refusal | None:
        """Returns what *request*, with the raw *path*, goes by; None if it costs nothing.

        *content* is its body, None if that is not looked at, and *size* the bytes of that. A refusal
        says why nobody knows what it costs. Raises `SpendingUnavailable`: ask `read_anew`.
        """
        method, asked = request.method, None
        try:
            if request.handshake:
                return _found((pricing or self._pricing).of_websocket(path))
            if method not in FREE_METHODS:
                kind = _plain_type(request.headers)
                query = request.raw_path[len(path) + 1 :]
                asked = read_request(path, kind, content or None, query)
            priced = (pricing or self._pricing).of(method, path, asked, size)
        except AmbiguousRequestError:
            return Refusal.BAD_REQUEST
        return _found(priced)

    async def read_anew(
        self, request: EdgeRequest, path: str, content: bytes | None, size: int
    ) -> Priced | Refusal | None:
        """Returns the same once there are prices: at the start, and after each change of them."""
        try:
            table, now = await self._table(), datetime.now(UTC)
        except SpendingUnavailable as outage:
            self._complaint.log(str(outage))
            return Refusal.BILLING_UNAVAILABLE
        pricing = replace(self._pricing, lookup=lambda model, at: table.find(model, at, now))
        return self.read(request, path, content, size, pricing)


def _found(priced: Priced | Unpriced) -> Priced | Refusal | None:
    if isinstance(priced, Priced):
        return priced
    return None if priced is Unpriced.FREE else Refusal.MODEL_NOT_PRICED


def _plain_type(headers: CIMultiDictProxy[str]) -> str:
    # The type of a body in no coding. Raises AmbiguousRequestError.
    kinds = headers.getall(hdrs.CONTENT_TYPE, ("",))
    if len(kinds) > 1:
        raise AmbiguousRequestError("the body has two types")
    if any(map(is_coded, headers.getall(hdrs.CONTENT_ENCODING, ()))):
        raise AmbiguousRequestError("the body is compressed, so what it asks for can't be read")
    return kinds[0]
