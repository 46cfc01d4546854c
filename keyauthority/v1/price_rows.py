"""A row of the price table, from its message and back, for the authority and its clients alike."""

from __future__ import annotations

from datetime import UTC

from keyauthority.pricing.prices import Pattern, Price, Rates
from keyauthority.v1 import price_pb2 as v1
from keyauthority.v1.wire import timestamp


def rates_of(message: v1.Rates) -> Rates:
    """Returns the rates in *message*; raises `ValueError` with a sentence if they are no price."""
    return Rates(**{field.name: rate for field, rate in message.ListFields()})


def price_of(message: v1.Price) -> Price:
    """Returns the row in *message*; raises `ValueError` if it is none."""
    return Price(
        message.id,
        Pattern(message.model),
        Pattern(message.path),
        message.effective_time.ToDatetime(UTC),
        rates_of(message.rates),
    )


def message_of(price: Price) -> v1.Price:
    """Returns the message of *price*."""
    return v1.Price(
        id=price.id,
        model=price.model.text,
        path=price.path.text,
        effective_time=timestamp(price.effective_time),
        rates=message_of_rates(price.rates),
    )


def message_of_rates(rates: Rates) -> v1.Rates:
    """Returns the message of *rates*."""
    names = (field.name for field in v1.Rates.DESCRIPTOR.fields)
    return v1.Rates(**{name: getattr(rates, name) for name in names})
