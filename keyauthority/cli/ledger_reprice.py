"""`keyauthority ledger reprice`: what charges cost too much or too little by a wrong price."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import click

from keyauthority.cli.authority import Authority, with_authority
from keyauthority.cli.listing import entries
from keyauthority.cli.names import WORKSPACE
from keyauthority.cli.output import Answer, count, spread
from keyauthority.client.admin import ledger, prices
from keyauthority.domain.ledger import Entry, EntryFilter, Kind
from keyauthority.pricing.amounts import write
from keyauthority.pricing.prices import Price
from keyauthority.pricing.usage import Usage

_PAGE: Final = 1_000
_CLASSES: Final = frozenset(Usage._fields)


@dataclass(slots=True)
class Repricing:
    """What charges by the price *wrong* cost, and what they would have cost by *right*.

    `first` and `last` are the numbers of the oldest and the newest of these charges. `left` counts
    those whose cost does not follow from their counts, and those that were refunded.
    """

    wrong: Price
    right: Price
    charges: int = 0
    cost: int = 0
    right_cost: int = 0
    first: int = 0
    last: int = 0
    left: int = 0

    def add(self, charge: Entry, *, refunded: bool) -> None:
        """Takes a charge by the wrong price, of those that are told newest first."""
        self.last = self.last or charge.number
        self.first = charge.number
        usage = _usage(charge.use.counts)
        if refunded or usage is None or self.wrong.rates.cost(usage) != -charge.amount:
            self.left += 1
            return
        self.charges += 1
        self.cost -= charge.amount
        self.right_cost += self.right.rates.cost(usage)

    @property
    def amount(self) -> int:
        """The adjustment: above zero if the charges were too high."""
        return self.cost - self.right_cost

    @property
    def reference(self) -> str:
        """The adjustment's name, which only a repeat has, too."""
        return f"{_beginning(self.wrong)}{self.first}"

    @property
    def reason(self) -> str:
        """Why, for the ledger: it says up to which entry charges were looked at."""
        return (
            f"price {self.right.id} instead of {self.wrong.id}, entries {self.first} to {self.last}"
        )


@click.command()
@click.argument("workspace_id", metavar="WORKSPACE", type=WORKSPACE)
@click.option("--wrong", metavar="PRICE", required=True, help="The id of the price that was wrong.")
@click.option("--right", metavar="PRICE", required=True, help="The id of that which should count.")
@click.option("--apply", is_flag=True, help="Enter the adjustment. [default: only show it]")
@with_authority
def reprice(
    authority: Authority,
    workspace_id: str,
    wrong: str,
    right: str,
    apply: bool,  # as click passes it
) -> Answer:
    """Adjust what charges by a wrong price cost, by the counts that they keep.

    Set the right price first. A repeat adjusts only for charges that have come since. Charges that were
    estimated or refunded stay as they are.
    """
    if wrong == right:
        raise click.UsageError("--wrong and --right name the same price")
    repricing = _repricing(authority, workspace_id, *_prices(authority, wrong, right))
    document = {
        "workspace_id": workspace_id,
        "charges": repricing.charges,
        "left": repricing.left,
        "cost": write(repricing.cost),
        "right_cost": write(repricing.right_cost),
        "adjustment": write(repricing.amount),
        "reference": repricing.reference if repricing.amount else "",
        "applied": apply,
    }
    note = (
        f"{count(repricing.left, 'charge')} estimated or refunded: left." if repricing.left else ""
    )
    sentence = _sentence(repricing)
    if not repricing.amount:
        return Answer(document, sentence, note)
    if not apply:
        return Answer(document, f"{sentence} --apply adjusts by {write(repricing.amount)}.", note)
    _, changed = authority.call(
        ledger.adjust(
            workspace_id, repricing.amount, repricing.reason, reference=repricing.reference
        )
    )
    sentence += f" Adjusted by {write(repricing.amount)} credits as {repricing.reference}."
    return Answer(document, f"{sentence} {spread(changed.receipt)}", note, brief="")


def _sentence(repricing: Repricing) -> str:
    if not repricing.charges:
        return "There are no charges to reprice."
    costs = f"cost {write(repricing.cost)} credits, and {write(repricing.right_cost)} by the right price"
    return f"{count(repricing.charges, 'charge')} {costs}."


def _prices(authority: Authority, *price_ids: str) -> Iterator[Price]:
    table = {one.record.id: one.record for one in entries(authority, "prices", prices.page, _PAGE)}
    for price_id in price_ids:
        if price_id not in table:
            raise click.ClickException(f"no such price: {price_id}")
        yield table[price_id]


def _repricing(authority: Authority, workspace_id: str, wrong: Price, right: Price) -> Repricing:
    after = _repriced(_of(authority, workspace_id, Kind.ADJUSTMENT), wrong, right)
    refunded = {one.subject for one in _of(authority, workspace_id, Kind.REFUND)}
    repricing = Repricing(wrong, right)
    for charge in _of(authority, workspace_id, Kind.CHARGE):
        if charge.number <= after:
            break
        if charge.use.price_id == wrong.id:
            repricing.add(charge, refunded=charge.reference in refunded)
    return repricing


def _of(authority: Authority, workspace_id: str, kind: Kind) -> Iterator[Entry]:
    page = functools.partial(ledger.page, EntryFilter(workspace_id, kind))
    return (one.record for one in entries(authority, "entries", page, _PAGE))


def _repriced(adjustments: Iterable[Entry], wrong: Price, right: Price) -> int:
    # Up to which entry charges by the wrong price were adjusted before.
    for one in adjustments:
        if one.reference.startswith(_beginning(wrong)):
            words = one.note.split()
            if right.id not in words:
                raise click.ClickException(
                    f"{one.reference} adjusted charges of that price to another: {one.note}"
                )
            return int(words[-1])
    return 0


def _beginning(wrong: Price) -> str:
    return f"reprice-{wrong.id}-"


def _usage(counts: Mapping[str, int]) -> Usage | None:
    return Usage(**counts) if counts and counts.keys() <= _CLASSES else None
