"""A workspace's account under change: what a transaction enters, and what that does to grants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from keyauthority.domain import secrets
from keyauthority.domain.auditing import Signature
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.domain.ledger import NO_USE, Drawn, Entry, Kind, Use, Written
from keyauthority.escrow.grants import Draw, Grant, draw, expire, in_order, is_due, remaining_of
from keyauthority.escrow.slices import Account
from keyauthority.pricing.amounts import LARGEST_BALANCE


class Sheet:
    """A workspace's account under change, in one transaction: what to write stands in its lists.

    Args:
        workspace_id: Whose it is.
        account: The account, locked until the transaction's end.
        entries: How many entries there are.
        grants: All grants of which something remains.
        time: When the transaction began: what is written is of that time, unless it says another.
    """

    def __init__(
        self,
        workspace_id: str,
        account: Account,
        entries: int,
        grants: Iterable[Grant],
        time: datetime,
    ) -> None:
        self.account = account
        self._before = account
        self.entries = entries
        self.written: list[Entry] = []
        self.drawn: list[Drawn] = []
        self.cut = 0
        """What was taken beyond what was available, and stood in slices, or is a debt."""
        self.workspace_id = workspace_id
        self.time = time
        # In the order in which they are drawn.
        self._grants = {grant.id: grant for grant in in_order(grants)}
        self._changed: dict[str, Grant] = {}

    @property
    def changed(self) -> bool:
        """Whether there is something to write: an account that is not there yet, too."""
        return self.account != self._before or bool(self.written) or not self.entries

    @property
    def to_write(self) -> Written:
        """What the ledger has to be given: the grants are those that are new, or have less or more."""
        grants = list(self._changed.values())
        return Written(self.workspace_id, self.account, self.written, grants, self.drawn)

    def grant(
        self,
        grant: Grant,
        kind: Kind,
        reference: str,
        by: Signature,
        note: str = "",
        subject: str = "",
    ) -> Entry:
        """Adds *grant*, of which `remaining` is the whole amount: it pays a debt first."""
        amount = grant.remaining
        self._put(replace(grant, remaining=remaining_of(amount, self.account.balance)))
        return self._write(kind, amount, reference, by, subject=subject or grant.id, note=note)

    def give_back(
        self,
        returned: Sequence[tuple[Grant, int]],
        reference: str,
        by: Signature,
        note: str = "",
        subject: str = "",
    ) -> Entry:
        """Returns with one refund to each grant what was drawn of it.

        What comes back pays a debt first, in the order that the grants are drawn in.
        """
        # What was a debt may go to a grant that something was drawn of, too.
        back: Counter[str] = Counter()
        for grant, amount in returned:
            back[grant.id] += amount
        balance = self.account.balance
        for grant in in_order({grant.id: grant for grant, _ in returned}.values()):
            present = self._grants.get(grant.id, replace(grant, remaining=0))
            left = remaining_of(back[grant.id], balance)
            self._put(replace(present, remaining=present.remaining + left))
            balance += back[grant.id]
        amount = balance - self.account.balance
        return self._write(Kind.REFUND, amount, reference, by, subject=subject, note=note)

    def without_terms(self) -> Grant:
        """Returns a grant for credits that were drawn of none: one in use, or a new one."""
        new = Grant(secrets.new_id("grant"), 0, self.time)
        return next((one for one in self._grants.values() if one.terms == new.terms), new)

    def reduce(
        self,
        kind: Kind,
        amount: int,
        reference: str,
        by: Signature,
        *,
        subject: str = "",
        note: str = "",
        use: Use = NO_USE,
        first: str = "",
        time: datetime | None = None,
    ) -> Entry:
        """Takes *amount* of the grants, in their order; what none covers is a debt.

        The entry is of *time*, or of now. Of the grant *first* it takes what there is before any other.
        """
        if kind is not Kind.CHARGE:
            self.cut += max(amount - max(self.account.available, 0), 0)
        grants: Iterable[Grant] = self._grants.values()
        if first in self._grants:
            grants = [self._grants[first], *(one for one in grants if one.id != first)]
        draws, _ = draw(grants, amount)
        entry = self._write(
            kind, -amount, reference, by, subject=subject, note=note, use=use, time=time
        )
        self._draw(draws)
        return entry

    def remaining(self, grant_id: str) -> int:
        """Returns what remains of a grant."""
        return self._grants[grant_id].remaining if grant_id in self._grants else 0

    @property
    def overdue(self) -> bool:
        """Whether something is left of grants that are due: after `expire` that stands in slices."""
        return any(is_due(grant, self.time) for grant in self._grants.values())

    def expire(self, by: Signature) -> int:
        """Has expire what is due and stands in no slice; returns how much that is.

        To be called whenever credits come back from slices, and as time goes by.
        """
        draws = expire(self._grants.values(), self.account.escrowed, self.time)
        for one in draws:
            # A reference that can be foreseen could be taken before, and nothing would expire.
            reference = secrets.new_id("expiry")
            self._write(Kind.EXPIRY, -one.amount, reference, by, subject=one.grant_id)
            self._draw([one])
        return sum(one.amount for one in draws)

    def _draw(self, draws: Iterable[Draw]) -> None:
        for one in draws:
            grant = self._grants[one.grant_id]
            self._put(grant.left(grant.remaining - one.amount))
            self.drawn.append(Drawn(self.entries, one.grant_id, one.amount))

    def _put(self, grant: Grant) -> None:
        self._changed[grant.id] = grant
        if not grant.remaining:
            self._grants.pop(grant.id, None)
        elif grant.id in self._grants:
            self._grants[grant.id] = grant
        else:
            self._grants = {one.id: one for one in in_order((*self._grants.values(), grant))}

    def _write(
        self,
        kind: Kind,
        amount: int,
        reference: str,
        by: Signature,
        *,
        subject: str = "",
        note: str = "",
        use: Use = NO_USE,
        time: datetime | None = None,
    ) -> Entry:
        balance = self.account.balance + amount
        if abs(balance) > LARGEST_BALANCE:
            raise KeyAuthorityError(
                Reason.BALANCE_OUT_OF_RANGE,
                "the balance would be beyond what a ledger can hold",
                workspace_id=self.workspace_id,
            )
        self.entries += 1
        self.account = Account(balance, self.account.escrowed)
        entry = Entry(
            workspace_id=self.workspace_id,
            number=self.entries,
            kind=kind,
            amount=amount,
            balance=balance,
            reference=reference,
            time=time or self.time,
            subject=subject,
            note=note,
            caller_id=by.caller_id,
            caller_name=by.caller_name,
            person_id=by.person_id,
            person_name=by.person_name,
            use=use,
        )
        self.written.append(entry)
        return entry
