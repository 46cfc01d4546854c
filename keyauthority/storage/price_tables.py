"""The table of prices."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Column, Index, Table, UniqueConstraint

from keyauthority.base.relational.columns import Moment, NumberMap, PlainText
from keyauthority.pricing.prices import Pattern, Price, Rates
from keyauthority.storage.ledger_tables import forbid_changes
from keyauthority.storage.tables import metadata

# Triggers keep rows from being changed or deleted; see the migration. `rates` are those that are set.
prices: Final = Table(
    "credit_prices",
    metadata,
    Column("id", PlainText, primary_key=True),
    Column("model", PlainText, nullable=False),
    Column("path", PlainText, nullable=False),
    Column("effective_time", Moment, nullable=False),
    Column("rates", NumberMap, nullable=False),
    UniqueConstraint("model", "path", "effective_time"),
    Index(None, "effective_time", "id"),
)

forbid_changes(
    prices,
    "SELECT 1 FROM credit_prices WHERE rowid = NEW.rowid OR id = NEW.id OR model = NEW.model "
    "AND path = NEW.path AND effective_time = NEW.effective_time",
    "prices are never changed or deleted",
)


def price_values(price: Price) -> dict[str, Any]:
    """Returns the values of the row of *price*, by column."""
    rates = {name: rate for name, rate in asdict(price.rates).items() if rate is not None}
    return {
        "id": price.id,
        "model": price.model.text,
        "path": price.path.text,
        "effective_time": price.effective_time,
        "rates": rates,
    }


def price_of(row: Any) -> Price:
    """Returns the price of *row*."""
    rates = Rates(**row.rates)
    return Price(row.id, Pattern(row.model), Pattern(row.path), row.effective_time, rates)
