"""Returning a charge to its workspace, or a grant to its buyer."""

from __future__ import annotations

from collections.abc import Sequence

from keyauthority.domain import limits
from keyauthority.domain.auditing import Signature
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import Counts
from keyauthority.domain.credits.entering import (
    EXPIRING,
    check_repeat,
    entered,
    entry_of,
    open_sheet,
    reference_or_new,
    reused,
    state,
)
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.ledger import Credited, Entry, Kind
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.sheets import Sheet
from keyauthority.escrow.grants import Grant, in_order
from keyauthority.pricing.amounts import write


class Refunding:
    """Refunds charges and grants. *counts* has what all calls came to, if somebody reads it."""

    def __init__(self, books: Books, counts: Counts | None = None) -> None:
        self._books = books
        self._counts = counts or Counts()

    async def refund(
        self,
        actor: Actor,
        workspace_id: str,
        subject: str,
        amount: int | None = None,
        reference: str = "",
        note: str = "",
    ) -> tuple[Credited, Receipt]:
        """Returns the charge *subject* to the workspace, or the grant *subject* to its buyer.

        *amount* None is all that is left of it. Raises `KeyAuthorityError`: `FIELD_INVALID`,
        `WORKSPACE_NOT_FOUND`, `REFERENCE_NOT_FOUND`, `REFUND_TOO_LARGE`, `REFERENCE_REUSED`,
        `BALANCE_OUT_OF_RANGE`.
        """
        if amount is not None:
            limits.amount(amount)
        limits.reference(subject, "subject")
        limits.note(note)
        reference = reference_or_new(reference, "refund")

        async def work(change: Change) -> Credited:
            tx = change.tx
            sheet = await open_sheet(change, actor, workspace_id)
            before = await entry_of(tx, workspace_id, reference)
            if before is not None:
                if before.subject != subject or amount not in (None, abs(before.amount)):
                    raise reused(reference)
                check_repeat(before, Kind.REFUND, before.amount, note)
                return await entered(tx, sheet, before)
            refunded = await entry_of(tx, workspace_id, subject)
            if refunded is None or refunded.kind not in (Kind.CHARGE, Kind.GRANT):
                raise KeyAuthorityError(
                    Reason.REFERENCE_NOT_FOUND,
                    "no charge and no grant has that reference",
                    reference=subject,
                )
            left = await left_of(tx, sheet, refunded)
            returned = left if amount is None else amount
            if not 0 < returned <= left:
                raise KeyAuthorityError(
                    Reason.REFUND_TOO_LARGE,
                    f"{write(left)} credits are left to return",
                    reference=subject,
                    left=str(left),
                )
            by = actor.signature
            if refunded.kind is Kind.CHARGE:
                entry = await return_charge(
                    tx, sheet, refunded, left, returned, reference=reference, by=by, note=note
                )
                sheet.expire(EXPIRING.signature)
            else:
                entry = sheet.reduce(
                    Kind.REFUND,
                    returned,
                    reference,
                    by,
                    subject=subject,
                    note=note,
                    first=refunded.subject,
                )
            details = {"credits": write(entry.amount), "subject": subject}
            fact = Fact(Action.CREDITS_REFUNDED, {**details, "reference": reference})
            state(change, workspace_id, fact, entry.amount)
            return await entered(tx, sheet, entry)

        credited, receipt = await self._books.change(actor, work)
        self._counts.cut += credited.cut
        return credited, receipt


async def return_charge(
    tx: Transaction,
    sheet: Sheet,
    charge: Entry,
    left: int,
    amount: int,
    *,
    reference: str,
    by: Signature,
    note: str,
) -> Entry:
    """Returns *amount* of the *charge*, of which *left* is left, to the grants that it was drawn from."""
    drawn = await tx.ledger.drawn(charge.workspace_id, charge.number)
    pieces = _pieces(charge, drawn, sheet.without_terms())
    to_return = _part_of(pieces, abs(charge.amount) - left, amount)
    return sheet.give_back(to_return, reference, by, note, charge.reference)


def _pieces(
    charge: Entry, drawn: Sequence[tuple[Grant, int]], without_terms: Grant
) -> list[tuple[Grant, int]]:
    # What was drawn last comes back first, to the grant that it came from, whose terms it keeps: what
    # is due there expires. A debt was the last of all, and came from no grant.
    taken = {grant.id: amount for grant, amount in drawn}
    debt = abs(charge.amount) - sum(taken.values())
    in_use = reversed(in_order(grant for grant, _ in drawn))
    return [(without_terms, debt), *((grant, taken[grant.id]) for grant in in_use)]


def _part_of(
    pieces: Sequence[tuple[Grant, int]], skipped: int, amount: int
) -> list[tuple[Grant, int]]:
    # The next *amount* of *pieces*; *skipped* came back before.
    parts = []
    for grant, piece in pieces:
        passed = min(skipped, piece)
        part = min(amount, piece - passed)
        skipped, amount = skipped - passed, amount - part
        if part:
            parts.append((grant, part))
    return parts


async def left_of(tx: Transaction, sheet: Sheet, refunded: Entry) -> int:
    """Returns how much of a charge or a grant has not been returned, nor expired."""
    of = refunded.workspace_id
    left = abs(refunded.amount) - abs(await tx.ledger.sum_of(of, Kind.REFUND, refunded.reference))
    if refunded.kind is Kind.GRANT:
        # What expired has been taken back already, or just now.
        left += await tx.ledger.sum_of(of, Kind.EXPIRY, refunded.subject)
        left += sum(entry.amount for entry in sheet.written if entry.subject == refunded.subject)
    return left
