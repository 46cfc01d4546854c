"""Charges of upstreams that meter themselves: nothing was held for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from keyauthority.domain import limits
from keyauthority.domain.books import Books, Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits import charging
from keyauthority.domain.credits.charging import Charge, ChargeState, Charging, Counts
from keyauthority.domain.credits.entering import EXPIRING, credits_of, read_sheets
from keyauthority.domain.credits.price_cache import PriceCache
from keyauthority.domain.credits.pricing import CLOCKS
from keyauthority.domain.credits.spending import AT_ONCE
from keyauthority.domain.ledger import Entry, Kind
from keyauthority.domain.recorded import RecordedState
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.slices import SliceSheet
from keyauthority.pricing.prices import Price, PriceTable
from keyauthority.pricing.usage import Usage

LATEST: Final = timedelta(hours=72)
"""How long after its request a charge is taken as one of that time."""

_CLASSES: Final = frozenset(Usage._fields)


_STATES: Final = {
    ChargeState.ENTERED: RecordedState.ENTERED,
    ChargeState.UNKNOWN_KEY: RecordedState.UNKNOWN_KEY,
    ChargeState.OUT_OF_RANGE: RecordedState.OUT_OF_RANGE,
}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a charge, and what it cost if the ledger has it."""

    state: RecordedState
    cost: int = 0


@dataclass(frozen=True, slots=True)
class ToRecord:
    """A charge, and whether its cost is stated; if not, it is what its usage costs."""

    charge: Charge
    stated: bool


class Recording:
    """Enters charges for those who bill. *counts* has what all calls came to."""

    def __init__(self, books: Books, counts: Counts) -> None:
        self._books = books
        self._counts = counts
        self._prices = PriceCache()

    async def record(
        self, actor: Actor, charges: Sequence[ToRecord]
    ) -> tuple[list[Recorded], Receipt]:
        """Enters each charge once; returns what became of each. Raises `FIELD_INVALID`.

        Waits until no verifier spends what they took beyond what was available.
        """
        limits.at_most(charges, AT_ONCE, "charges")
        charging.check([one.charge for one in charges])

        async def work(posting: Posting) -> tuple[list[Recorded], Counts]:
            tx = posting.tx
            entering = await _open(tx, actor, [one.charge for one in charges])
            table = PriceTable(())
            if not all(one.stated for one in charges):
                table = await self._prices.table(tx, tx.time - LATEST)
            states = [_record(tx, entering, table, one) for one in charges]
            for workspace_id in entering.cut:
                posting.announce(credits_of(workspace_id))
            await tx.ledger.write([one.to_write for one in entering.sheets.values() if one.written])
            return states, entering.counts

        (states, counts), receipt = await self._books.post_in_force(actor, work)
        self._counts.add(counts)
        return states, receipt


async def _open(tx: Transaction, actor: Actor, charges: Iterable[Charge]) -> Charging:
    # Of other workspaces the caller does not learn that they exist.
    mine = [one for one in charges if actor.caller.may_touch(one.workspace_id)]
    sheets = await read_sheets(tx, sorted({one.workspace_id for one in mine}))
    for sheet in sheets.values():
        sheet.expire(EXPIRING.signature)
    known = await tx.ledger.by_reference([one.name for one in mine]) if mine else {}
    homes = await tx.keys.homes({one.use.key_id for one in mine}) if mine else {}
    slices = {one: SliceSheet(one) for one in sheets}
    return Charging(actor.signature, sheets, slices, known, homes)


def _record(tx: Transaction, entering: Charging, table: PriceTable, one: ToRecord) -> Recorded:
    before = entering.entry_of(one.charge)
    if before is not None:
        if not _repeats(before, one):
            return Recorded(RecordedState.REFERENCE_REUSED)
        return Recorded(RecordedState.KNOWN, -before.amount)
    time = one.charge.time or tx.time
    if not tx.time - LATEST <= time <= tx.time + CLOCKS:
        return Recorded(RecordedState.TIME_OUT_OF_RANGE)
    charge: Charge | None = one.charge
    if not one.stated:
        charge = _priced(one.charge, table.find(one.charge.use.model, one.charge.use.path, time))
    if charge is None:
        return Recorded(RecordedState.UNPRICED)
    state = _STATES[entering.enter(charge)]
    return Recorded(state, charge.cost if state is RecordedState.ENTERED else 0)


def _repeats(before: Entry, one: ToRecord) -> bool:
    # At which price it was entered matters to nobody who brings it again.
    same_use = replace(before.use, price_id="") == one.charge.use
    same_cost = not one.stated or before.amount == -one.charge.cost
    same_time = one.charge.time in (None, before.time)
    return before.kind is Kind.CHARGE and same_use and same_cost and same_time


def _priced(charge: Charge, price: Price | None) -> Charge | None:
    # None: what it used was not told, or is in no class that we know, or in none that the price has a
    # rate for. Zero that was told is zero.
    counts = charge.use.counts
    if price is None or not counts.keys() <= _CLASSES:
        return None
    if not counts and price.rates.request is None:
        return None
    usage = Usage(**counts)
    if not price.rates.prices(usage):
        return None
    use = replace(charge.use, price_id=price.id)
    return replace(charge, cost=price.rates.cost(usage), use=use)
