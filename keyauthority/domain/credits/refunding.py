"""Returning a charge to its workspace, or a grant to its buyer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.entering import (
    check_repeat,
    entered,
    entry_of,
    expire_due,
    open_sheet,
    reference_or_new,
    reused,
    state,
)
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.ledger import Credited, Entry, Kind, Sheet
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Receipt
from keyauthority.escrow.grants import Grant, in_order
from keyauthority.pricing.amounts import write


class Refunding:
    """Refunds charges and grants."""

    def __init__(self, books: Books) -> None:
        self._books = books

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
            left = await _left(tx, sheet, refunded)
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
                drawn = await tx.ledger.drawn(workspace_id, refunded.number)
                before_it = abs(refunded.amount) - left
                grants = _given_back(refunded, drawn, before_it, returned, tx.time)
                entry = sheet.grant_all(grants, Kind.REFUND, reference, by, note, subject)
                expire_due(change, sheet)
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

        return await self._books.change(actor, work)


def _given_back(
    charge: Entry, drawn: Sequence[tuple[Grant, int]], skipped: int, amount: int, now: datetime
) -> list[Grant]:
    # What was drawn last comes back first, on its terms; a debt was the last of all, and has none.
    # *skipped* came back before.
    taken = {grant.id: taken for grant, taken in drawn}
    debt = Grant("", abs(charge.amount) - sum(taken.values()), now)
    pieces = [(debt, debt.remaining)]
    pieces += [(grant, taken[grant.id]) for grant in reversed(in_order(g for g, _ in drawn))]
    grants = []
    for grant, there in pieces:
        passed = min(skipped, there)
        returned = min(amount, there - passed)
        skipped, amount = skipped - passed, amount - returned
        if returned:
            new_id = secrets.new_id("grant")
            grants.append(replace(grant, id=new_id, remaining=returned, create_time=now))
    return grants


async def _left(tx: Transaction, sheet: Sheet, refunded: Entry) -> int:
    of = refunded.workspace_id
    left = abs(refunded.amount) - abs(await tx.ledger.sum_of(of, Kind.REFUND, refunded.reference))
    if refunded.kind is Kind.GRANT:
        # What expired has been taken back already, or just now.
        left += await tx.ledger.sum_of(of, Kind.EXPIRY, refunded.subject)
        left += sum(entry.amount for entry in sheet.written if entry.subject == refunded.subject)
    return left
