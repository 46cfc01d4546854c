"""Topping up, adjusting and refunding a workspace's credits, and reading its ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from keyauthority.domain import limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor, authority
from keyauthority.domain.errors import KeyAuthorityError, Reason, invalid, workspace_not_found
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.ledger import Entry, EntryFilter, Kind, Sheet, Sums
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Receipt
from keyauthority.escrow.grants import PRIORITY, Grant, in_order
from keyauthority.escrow.slices import Account
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


@dataclass(frozen=True, slots=True)
class Credited:
    """What a call entered, and what the workspace has after it."""

    entry: Entry
    account: Account


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of one state of a ledger; it adds up if there are no `faults`."""

    account: Account
    sums: Sums
    faults: tuple[str, ...]


_EXPIRING: Final = authority("expiry of credits")
_AT_ONCE: Final = 100


class Crediting:
    """Keeps the workspaces' credits."""

    def __init__(self, books: Books) -> None:
        self._books = books

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
            sheet = await _sheet(change, actor, workspace_id)
            before = await _before(change.tx, workspace_id, purchase.id)
            if before is not None:
                grant = await change.tx.ledger.grant(workspace_id, before.subject)
                _check_repeat(before, Kind.GRANT, purchase.amount, purchase.note)
                if grant is None or not _same_terms(grant, purchase):
                    raise _reused(purchase.id)
                return await _written(change.tx, sheet, before)
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
            return await _written(change.tx, sheet, entry)

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
        reference = _named(reference, "adjustment")

        async def work(change: Change) -> Credited:
            sheet = await _sheet(change, actor, workspace_id)
            before = await _before(change.tx, workspace_id, reference)
            if before is not None:
                _check_repeat(before, Kind.ADJUSTMENT, amount, reason)
                return await _written(change.tx, sheet, before)
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
            _state(change, workspace_id, fact, amount)
            return await _written(change.tx, sheet, entry)

        return await self._books.change(actor, work)

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
        reference = _named(reference, "refund")

        async def work(change: Change) -> Credited:
            tx = change.tx
            sheet = await _sheet(change, actor, workspace_id)
            before = await _before(tx, workspace_id, reference)
            if before is not None:
                if before.subject != subject or amount not in (None, abs(before.amount)):
                    raise _reused(reference)
                _check_repeat(before, Kind.REFUND, before.amount, note)
                return await _written(tx, sheet, before)
            refunded = await _before(tx, workspace_id, subject)
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
                _expire(change, workspace_id, sheet)
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
            _state(change, workspace_id, fact, entry.amount)
            return await _written(tx, sheet, entry)

        return await self._books.change(actor, work)

    async def due(self, after: str = "") -> list[str]:
        """Returns up to 100 workspaces, beyond the id *after*, of which credits are due to expire."""
        return await self._books.read(lambda tx: tx.ledger.due(tx.time, after, _AT_ONCE))

    async def expire(self, workspace_id: str) -> None:
        """Has expire what is due of a workspace's credits."""

        async def work(change: Change) -> None:
            sheet = await _open(change, workspace_id)
            if sheet.written:
                await change.tx.ledger.write(
                    workspace_id, sheet.account, sheet.written, sheet.changed_grants, sheet.drawn
                )

        await self._books.change(_EXPIRING, work)

    async def account(self, actor: Actor, workspace_id: str) -> Account:
        """Returns what the workspace has without what is due to expire; raises `WORKSPACE_NOT_FOUND`."""

        async def work(tx: Transaction) -> Account:
            await _check_workspace(tx, actor, workspace_id)
            account, entries = await tx.ledger.account(workspace_id)
            grants = await tx.ledger.grants(workspace_id)
            sheet = Sheet(workspace_id, account, entries, grants, tx.time)
            sheet.expire(_EXPIRING.signature)
            return sheet.account

        return await self._books.read(work)

    async def page(
        self, actor: Actor, which: EntryFilter, limit: int, before: int | None
    ) -> list[Entry]:
        """Returns up to *limit* entries, newest first; raises `WORKSPACE_NOT_FOUND`."""

        async def work(tx: Transaction) -> list[Entry]:
            await _check_workspace(tx, actor, which.workspace_id)
            return await tx.ledger.page(which, limit, before)

        return await self._books.read(work)

    async def prove(self, actor: Actor, workspace_id: str) -> Proof:
        """Returns what one state of the ledger adds up to; raises `WORKSPACE_NOT_FOUND`."""

        async def work(tx: Transaction) -> Proof:
            await _check_workspace(tx, actor, workspace_id)
            account, entries = await tx.ledger.account(workspace_id)
            sums = await tx.ledger.sums(workspace_id)
            return Proof(account, sums, tuple(_faults(account, entries, sums)))

        return await self._books.read(work)


def _faults(account: Account, entries: int, sums: Sums) -> list[str]:
    pairs = (
        ("the account's balance", account.balance, "the sum of the entries", sums.amounts),
        ("the newest entry's balance", sums.balance, "the sum of the entries", sums.amounts),
        ("the account's count of entries", entries, "the number of entries", sums.entries),
        ("the newest entry's number", sums.newest, "the number of entries", sums.entries),
        ("what remains of the grants", sums.remaining, "the balance", max(account.balance, 0)),
    )
    return [
        f"{one} is {value}, and {other} is {expected}"
        for one, value, other, expected in pairs
        if value != expected
    ]


async def _check_workspace(tx: Transaction, actor: Actor, workspace_id: str) -> None:
    workspace = await tx.workspaces.get(workspace_id)
    if workspace is None or not actor.caller.may_touch(workspace.id):
        raise workspace_not_found(workspace_id)


async def _sheet(change: Change, actor: Actor, workspace_id: str) -> Sheet:
    await _check_workspace(change.tx, actor, workspace_id)
    return await _open(change, workspace_id)


async def _open(change: Change, workspace_id: str) -> Sheet:
    # Whatever happens to the credits of a workspace, what is due has expired before.
    ledger = change.tx.ledger
    account, entries = await ledger.account(workspace_id)
    grants = await ledger.grants(workspace_id)
    sheet = Sheet(workspace_id, account, entries, grants, change.tx.time)
    _expire(change, workspace_id, sheet)
    return sheet


def _expire(change: Change, workspace_id: str, sheet: Sheet) -> None:
    expired = sheet.expire(_EXPIRING.signature)
    if expired:
        fact = Fact(Action.CREDITS_EXPIRED, {"credits": write(expired)})
        change.alters(credits_of(workspace_id), workspace_id, fact)


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


async def _before(tx: Transaction, workspace_id: str, reference: str) -> Entry | None:
    return (await tx.ledger.by_reference(workspace_id, [reference])).get(reference)


async def _left(tx: Transaction, sheet: Sheet, refunded: Entry) -> int:
    of = refunded.workspace_id
    left = abs(refunded.amount) - abs(await tx.ledger.sum_of(of, Kind.REFUND, refunded.reference))
    if refunded.kind is Kind.GRANT:
        # What expired has been taken back already, or just now.
        left += await tx.ledger.sum_of(of, Kind.EXPIRY, refunded.subject)
        left += sum(entry.amount for entry in sheet.written if entry.subject == refunded.subject)
    return left


async def _written(tx: Transaction, sheet: Sheet, entry: Entry) -> Credited:
    await tx.ledger.write(
        entry.workspace_id, sheet.account, sheet.written, sheet.changed_grants, sheet.drawn
    )
    return Credited(entry, sheet.account)


def _state(change: Change, workspace_id: str, fact: Fact, amount: int) -> None:
    # Verifiers have to hear of what they may no longer spend; of what is added nobody has to.
    if amount < 0:
        change.alters(credits_of(workspace_id), workspace_id, fact)
    else:
        change.records(fact, credits_of(workspace_id), workspace_id)


def credits_of(workspace_id: str) -> str:
    """Returns the subject of what happens to a workspace's credits: no verdict depends on it."""
    return f"{workspace_id}/credits"


def _check_repeat(before: Entry, kind: Kind, amount: int, note: str) -> None:
    if (before.kind, before.amount, before.note) != (kind, amount, note):
        raise _reused(before.reference)


def _reused(reference: str) -> KeyAuthorityError:
    return KeyAuthorityError(
        Reason.REFERENCE_REUSED,
        "the ledger has an entry under that reference that says something else",
        reference=reference,
    )


def _named(reference: str, kind: str) -> str:
    return limits.reference(reference, "reference") if reference else secrets.new_id(kind)


def _same_terms(grant: Grant, purchase: Purchase) -> bool:
    terms = purchase.priority, purchase.expires(grant.create_time), purchase.promotional
    return terms == (grant.priority, grant.expire_time, grant.promotional)


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
