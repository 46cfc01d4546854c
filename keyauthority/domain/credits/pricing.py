"""The price table: rows are added and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor, Role
from keyauthority.domain.errors import KeyAuthorityError, Reason, in_entry, invalid
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.repositories import Cursor, Transaction
from keyauthority.domain.sessions import Head, Receipt
from keyauthority.pricing.amounts import parse, write
from keyauthority.pricing.prices import Pattern, Price, Rates

SUBJECT: Final = "prices"
"""The feed's subject of a change of the table: no verdict depends on it."""
MOST: Final = 10_000
"""How many rows may count now or later."""
AT_ONCE: Final = 500
CLOCKS: Final = timedelta(minutes=1)
"""How much two clocks may differ: so long a row is still told of after another took over."""

_RATES: Final = tuple(field.name for field in fields(Rates))


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A row to add; without an `effective_time` it counts from now on."""

    model: str
    path: str
    effective_time: datetime | None
    rates: Rates


@dataclass(frozen=True, slots=True)
class Placed:
    """Rows that the table has, and how many of them it did not have before."""

    prices: list[Price]
    added: int


class Prices:
    """Keeps the price table."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def set(self, actor: Actor, rows: Sequence[NewPrice]) -> tuple[Placed, Receipt]:
        """Adds those of *rows* that are not there yet, and returns all of them, in their order.

        Raises `KeyAuthorityError`: `ROLE_MISSING`, `FIELD_INVALID`, `PRICE_EXISTS`.
        """
        if actor.caller.workspace_ids:
            raise KeyAuthorityError(
                Reason.ROLE_MISSING,
                "prices are everybody's: a caller that is bound to workspaces can't set them",
                role=Role.BILLER.name.lower(),
            )
        if not 1 <= len(rows) <= AT_ONCE:
            raise invalid("prices", f"has {len(rows)} entries, not 1 to {AT_ONCE}")
        for index, row in enumerate(rows):
            with in_entry("prices", index):
                limits.pattern(row.model, "model")
                limits.pattern(row.path, "path")

        async def work(change: Change) -> Placed:
            tx = change.tx
            stored = await tx.prices.to_change({row.model for row in rows})
            prices, added = _placed(rows, stored, tx.time)
            if added:
                await tx.prices.insert(added)
                if await tx.prices.count(tx.time) > MOST:
                    raise invalid("prices", f"would be more than {MOST:,} that count now or later")
                change.alters(SUBJECT, "", *map(fact_of, added))
            return Placed(prices, len(added))

        return await self._books.change(actor, work, size=len(rows))

    async def page(self, limit: int, after: Cursor | None) -> list[Price]:
        """Returns up to *limit* rows after *after*, newest first."""
        return await self._books.read(lambda tx: tx.prices.page(limit, after))

    async def current(self) -> tuple[Head, list[Price]]:
        """Returns the rows that count now or later, and which state of the books has them."""

        async def work(tx: Transaction) -> tuple[Head, list[Price]]:
            return await tx.feed.head(), await tx.prices.current(tx.time - CLOCKS)

        return await self._books.read(work)


def _placed(
    rows: Sequence[NewPrice], stored: Iterable[Price], now: datetime
) -> tuple[list[Price], list[Price]]:
    # What the table has for *rows*, and those among them that it does not have yet.
    table = {(row.model.text, row.path.text, row.effective_time): row for row in stored}
    prices, added = [], []
    for index, row in enumerate(rows):
        time = row.effective_time or _since(table.values(), row, now)
        place = row.model, row.path, time
        if place not in table:
            with in_entry("prices", index):
                _check(time, now)
            model, path = Pattern(row.model), Pattern(row.path)
            table[place] = Price(secrets.new_id("price"), model, path, time, row.rates)
            added.append(table[place])
        elif table[place].rates != row.rates:
            raise KeyAuthorityError(
                Reason.PRICE_EXISTS,
                f"prices[{index}] has the patterns and the time of a row with other rates",
                index=str(index),
                price_id=table[place].id,
            )
        prices.append(table[place])
    return prices, added


def _since(table: Iterable[Price], row: NewPrice, now: datetime) -> datetime:
    # Who repeats a call, or an import, without a time means the row that counts already.
    before = [
        other
        for other in table
        if (other.model.text, other.path.text) == (row.model, row.path)
        and other.effective_time <= now
    ]
    newest = max(before, key=lambda other: other.effective_time, default=None)
    return newest.effective_time if newest and newest.rates == row.rates else now


def _check(time: datetime, now: datetime) -> None:
    if time < now - CLOCKS:
        raise invalid("effective_time", "is in the past")
    if time > now + limits.LIFETIME:
        raise invalid("effective_time", "is more than 10 years away")


def fact_of(price: Price) -> Fact:
    """Returns the fact that *price* was added, with all of it: a restore adds it again by that."""
    rates = {name: getattr(price.rates, name) for name in _RATES}
    return Fact(
        Action.PRICE_SET,
        {
            "price": price.id,
            "model": price.model.text,
            "path": price.path.text,
            "effective_time": price.effective_time.isoformat(),
            **{name: write(rate) for name, rate in rates.items() if rate is not None},
        },
    )


def price_in(details: Mapping[str, str]) -> Price:
    """Returns the row that `fact_of` told of; raises `ValueError` or `KeyError` if it is none."""
    rates = {name: parse(details[name]) for name in _RATES if name in details}
    return Price(
        details["price"],
        Pattern(details["model"]),
        Pattern(details["path"]),
        datetime.fromisoformat(details["effective_time"]),
        Rates(**rates),
    )
