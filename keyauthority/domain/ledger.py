"""The ledger of a workspace's credits: entries that are never changed, and what they add up to.

Amounts are whole nano-credits, positive where they raise the balance.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from keyauthority.domain import secrets
from keyauthority.domain.auditing import Signature
from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.escrow.grants import Draw, Grant, draw, expire, in_order, remaining_of
from keyauthority.escrow.slices import Account
from keyauthority.pricing.amounts import LARGEST_BALANCE


class Kind(enum.Enum):
    """What an entry is. The contract has the same numbers and explains them."""

    GRANT = 1
    CHARGE = 2
    REFUND = 3
    ADJUSTMENT = 4
    EXPIRY = 5


@dataclass(frozen=True, slots=True)
class Use:
    """What a charge is for: the request, its usage by class, and how the cost came about.

    `estimated` says that the usage was not told. `status` is that of the answer, 0 if there was none.
    """

    key_id: str = ""
    model: str = ""
    path: str = ""
    request_id: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    price_id: str = ""
    held: int = 0
    estimated: bool = False
    status: int = 0
    session_id: str = ""


NO_USE: Final = Use()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a workspace's ledger.

    `number` counts the workspace's entries from 1, without gaps; `balance` is the one after it.
    `reference` is the name its cause gave it, unique in the workspace. `subject` is the grant that a
    grant or an expiry is of, and the reference of what a refund returns. `time` is when it was entered;
    of a charge that was brought late, and said so, when the request was.
    """

    workspace_id: str
    number: int
    kind: Kind
    amount: int
    balance: int
    reference: str
    time: datetime
    subject: str = ""
    note: str = ""
    caller_id: str = ""
    caller_name: str = ""
    person_id: str = ""
    person_name: str = ""
    use: Use = NO_USE


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries of a workspace to list. Empty and None match everything; `end` is excluded."""

    workspace_id: str
    kind: Kind | None = None
    key_id: str = ""
    model: str = ""
    reference: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What an entry took of a grant."""

    number: int
    grant_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Written:
    """What to write of one workspace's ledger: new entries and draws, changed or new grants."""

    workspace_id: str
    account: Account
    entries: Sequence[Entry] = ()
    grants: Sequence[Grant] = ()
    drawn: Sequence[Drawn] = ()


@dataclass(frozen=True, slots=True)
class Sums:
    """What one state of a workspace's ledger comes to, from its rows: for the proof that it adds up.

    `newest` and `balance` are those of the newest entry, `remaining` is what remains of the grants,
    `escrowed` what stands in slices.
    """

    newest: int = 0
    balance: int = 0
    remaining: int = 0
    escrowed: int = 0


@dataclass(frozen=True, slots=True)
class Credited:
    """What a call entered, and what the workspace has after it."""

    entry: Entry
    account: Account


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of one state of a ledger; it adds up if there are no `faults`."""

    entries: int
    account: Account
    faults: tuple[str, ...]


class Sheet:
    """A workspace's account under change, in one transaction: what to write stands in its lists.

    Args:
        workspace_id: Whose it is.
        account: The account, locked until the transaction's end.
        entries: How many entries there are.
        grants: All grants of which something remains.
        time: When the transaction began.
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
        self.workspace_id = workspace_id
        self._time = time
        self._grants = {grant.id: grant for grant in grants}
        self._changed: dict[str, Grant] = {}

    @property
    def changed(self) -> bool:
        """Whether there is something to write: an account that is not there yet, too."""
        return self.account != self._before or bool(self.written) or not self.entries

    @property
    def to_write(self) -> Written:
        """What the ledger has to be given: the grants are those that are new, or have less."""
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
        return self.grant_all([grant], kind, reference, by, note, subject or grant.id)

    def grant_all(
        self,
        grants: Iterable[Grant],
        kind: Kind,
        reference: str,
        by: Signature,
        note: str = "",
        subject: str = "",
    ) -> Entry:
        """Adds *grants* with one entry. They pay a debt first, in the order that they are drawn in."""
        balance = self.account.balance
        for grant in in_order(grants):
            self._put(replace(grant, remaining=remaining_of(grant.remaining, balance)))
            balance += grant.remaining
        amount = balance - self.account.balance
        return self._write(kind, amount, reference, by, subject=subject, note=note)

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
        of_first = [grant for grant in self._grants.values() if grant.id == first]
        others = [grant for grant in self._grants.values() if grant.id != first]
        draws, left = draw(of_first, amount)
        draws += draw(others, left)[0]
        entry = self._write(
            kind, -amount, reference, by, subject=subject, note=note, use=use, time=time
        )
        self._draw(draws)
        return entry

    def expire(self, by: Signature) -> int:
        """Has expire what is due and stands in no slice; returns how much that is.

        To be called whenever credits come back from slices, and as time goes by.
        """
        draws = expire(self._grants.values(), self.account.escrowed, self._time)
        for one in draws:
            # A reference that can be foreseen could be taken before, and nothing would expire.
            reference = secrets.new_id("expiry")
            self._write(Kind.EXPIRY, -one.amount, reference, by, subject=one.grant_id)
            self._draw([one])
        return sum(one.amount for one in draws)

    def _draw(self, draws: Iterable[Draw]) -> None:
        for one in draws:
            grant = self._grants[one.grant_id]
            self._put(replace(grant, remaining=grant.remaining - one.amount))
            self.drawn.append(Drawn(self.entries, one.grant_id, one.amount))

    def _put(self, grant: Grant) -> None:
        self._grants[grant.id] = self._changed[grant.id] = grant

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
            time=time or self._time,
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
