"""The ledger of a workspace's credits: entries that are never changed, and what they add up to.

Amounts are whole nano-credits, positive where they raise the balance.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account


class Kind(enum.Enum):
    """What an entry is. The contract has the same numbers and explains them."""

    GRANT = 1
    CHARGE = 2
    REFUND = 3
    ADJUSTMENT = 4
    EXPIRY = 5


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
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

    def of(self, session_id: str) -> Use:
        """Returns the same use, of that session."""
        return Use(
            self.key_id,
            self.model,
            self.path,
            self.request_id,
            self.counts,
            self.price_id,
            self.held,
            self.estimated,
            self.status,
            session_id,
        )


NO_USE: Final = Use()


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
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
    use: Use = field(default_factory=Use)


def makes_grant(entry: Entry) -> bool:
    """Returns whether *entry* added credits that came together: its subject is the grant's id."""
    return entry.kind is Kind.GRANT or (entry.kind is Kind.ADJUSTMENT and entry.amount > 0)


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


# Not frozen: one is made for each charge, and that would take several times as long. Nobody changes it.
@dataclass(slots=True)
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
    """What a call entered, and what the workspace has after it.

    `granted` is the grant that the entry made, if it made one. `cut` is what the entry took beyond what
    was available: verifiers had it in slices. A repeat cut nothing.
    """

    entry: Entry
    account: Account
    cut: int = 0
    granted: Grant | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of one state of a ledger; it adds up if there are no `faults`."""

    entries: int
    account: Account
    faults: tuple[str, ...]
