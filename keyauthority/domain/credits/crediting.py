"""Topping up and adjusting a workspace's credits, and their expiry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change, Posting
from keyauthority.domain.callers import Actor
from keyauthority.domain.credits.charging import Counts
from keyauthority.domain.credits.entering import (
    check_repeat,
    credits_of,
    entered,
    entry_of,
    open_due,
    open_sheet,
    reference_or_new,
    reused,
    state,
    write_sheet,
)
from keyauthority.domain.errors import invalid
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.ledger import Credited, Kind
from keyauthority.domain.sessions import Receipt
from keyauthority.escrow.grants import PRIORITY, Grant
from keyauthority.pricing.amounts import write


@dataclass(frozen=True, slots=True)
class Purchase:
    """Credits to add: how many, and on what terms. A `ttl` counts from when they are added."""

    id: str
    amount: int
    priority: int = PRIORITY
    expire_time: datetime | None = None
    promotional: bool = False
    note: str = ""
    ttl: timedelta | None = None

    def expires(self, added: datetime) -> datetime | None:
        """Returns when the credits expire that were *added* then."""
        return self.expire_time if self.ttl is None else added + self.ttl


_AT_ONCE: Final = 100


class Crediting:
    """Keeps the workspaces' credits. *counts* has what all calls came to, if somebody reads it."""

    def __init__(self, books: Books, counts: Counts | None = None) -> None:
        self._books = books
        self._counts = counts or Counts()

    async def top_up(
        self, actor: Actor, workspace_id: str, purchase: Purchase
    ) -> tuple[Credited, Receipt]:
        """Adds credits once for each purchase.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `REFERENCE_REUSED`,
        `BALANCE_OUT_OF_RANGE`.
        """
        limits.reference(purchase.id, "purchase_id")
        limits.amount(purchase.amount)
        limits.note(purchase.note)
        if purchase.ttl is not None:
            limits.lifetime(purchase.ttl)
        if not 0 <= purchase.priority <= limits.PRIORITY:
            raise invalid("priority", f"is not from 0 to {limits.PRIORITY}")

        async def work(change: Change) -> Credited:
            sheet = await open_sheet(change, actor, workspace_id)
            before = await entry_of(change.tx, workspace_id, purchase.id)
            if before is not None:
                grant = await change.tx.ledger.grant(workspace_id, before.subject)
                check_repeat(before, Kind.GRANT, purchase.amount, purchase.note)
                if grant is None or not _same_terms(grant, purchase):
                    raise reused(purchase.id)
                return await entered(change.tx, sheet, before)
            expire_time = purchase.expires(change.tx.time)
            limits.expire_time(expire_time, change.tx.time)
            grant = Grant(
                secrets.new_id("grant"),
                purchase.amount,
                change.tx.time,
                purchase.priority,
                expire_time,
                purchase.promotional,
            )
            by = actor.signature
            entry = sheet.grant(grant, Kind.GRANT, purchase.id, by, purchase.note)
            change.records(_added(purchase, expire_time), credits_of(workspace_id), workspace_id)
            return await entered(change.tx, sheet, entry)

        return await self._books.change(actor, work)

    async def adjust(
        self, actor: Actor, workspace_id: str, amount: int, reason: str, reference: str = ""
    ) -> tuple[Credited, Receipt]:
        """Corrects the balance by *amount*, up or down.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `REFERENCE_REUSED`,
        `BALANCE_OUT_OF_RANGE`.
        """
        limits.amount(abs(amount))
        if not reason.strip():
            raise invalid("reason", "is empty")
        limits.note(reason, "reason")
        reference = reference_or_new(reference, "adjustment")

        async def work(change: Change) -> Credited:
            sheet = await open_sheet(change, actor, workspace_id)
            before = await entry_of(change.tx, workspace_id, reference)
            if before is not None:
                check_repeat(before, Kind.ADJUSTMENT, amount, reason)
                return await entered(change.tx, sheet, before)
            by = actor.signature
            if amount > 0:
                grant = Grant(secrets.new_id("grant"), amount, change.tx.time)
                entry = sheet.grant(grant, Kind.ADJUSTMENT, reference, by, reason)
            else:
                entry = sheet.reduce(Kind.ADJUSTMENT, -amount, reference, by, note=reason)
            fact = Fact(
                Action.CREDITS_ADJUSTED,
                {"credits": write(amount), "reason": reason, "reference": reference},
            )
            state(change, workspace_id, fact, amount)
            return await entered(change.tx, sheet, entry)

        credited, receipt = await self._books.change(actor, work)
        self._counts.cut += credited.cut
        return credited, receipt

    async def due(self, after: str = "") -> list[str]:
        """Returns up to 100 workspaces, beyond the id *after*, of which credits are due to expire."""
        return await self._books.read(lambda tx: tx.ledger.due(tx.time, after, _AT_ONCE))

    async def expire(self, workspace_id: str) -> None:
        """Has expire what is due of a workspace's credits; recalls what stands in open slices of that.

        It waits for no verifier.
        """

        async def work(posting: Posting) -> None:
            tx = posting.tx
            sheet = await open_due(tx, workspace_id)
            if not sheet.written:
                return
            await write_sheet(tx, sheet)
            if sheet.overdue and await tx.slices.shared([workspace_id], ""):
                posting.announce(credits_of(workspace_id))

        await self._books.post(work)


def _same_terms(grant: Grant, purchase: Purchase) -> bool:
    expire_time = purchase.expires(grant.create_time)
    return (purchase.priority, expire_time, purchase.promotional) == grant.terms


def _added(purchase: Purchase, expire_time: datetime | None) -> Fact:
    return Fact(
        Action.CREDITS_ADDED,
        {
            "credits": write(purchase.amount),
            "purchase": purchase.id,
            "priority": str(purchase.priority),
            "promotional": "true" if purchase.promotional else "",
            "expires": "" if expire_time is None else expire_time.isoformat(),
        },
    )
