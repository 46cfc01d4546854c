"""Calls of LedgerService about the price table."""

from __future__ import annotations

from collections.abc import Iterable

from keyauthority.client.admin import reading
from keyauthority.client.admin.calling import Call, Page, call
from keyauthority.client.admin.records import Changed, NewPrice, PricesSet
from keyauthority.pricing.prices import Price
from keyauthority.v1 import ledger_service_pb2 as v1
from keyauthority.v1 import price_pb2
from keyauthority.v1.price_rows import message_of_rates, price_of
from keyauthority.v1.wire import timestamp


def set_all(rows: Iterable[NewPrice]) -> Call[Changed[PricesSet]]:
    """Adds up to 500 rows to the table, all or none; those that are there stay as they are.

    The call is safe to repeat.
    """
    request = v1.SetPricesRequest(prices=map(_message, rows))
    return call(
        request,
        v1.SetPricesResponse,
        lambda reply: Changed(
            PricesSet(tuple(map(price_of, reply.prices)), reply.added),
            reading.receipt(reply.receipt),
        ),
    )


def page(*, size: int = 0, token: str = "") -> Call[Page[Price]]:
    """Returns a page of the table, newest first."""
    return call(
        v1.ListPricesRequest(page_size=size, page_token=token),
        v1.ListPricesResponse,
        lambda reply: Page(tuple(map(price_of, reply.prices)), reply.next_page_token),
    )


def _message(row: NewPrice) -> price_pb2.Price:
    return price_pb2.Price(
        model=row.model,
        path=row.path,
        effective_time=timestamp(row.effective_time),
        rates=message_of_rates(row.rates),
    )
