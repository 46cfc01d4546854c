"""The database of a simulated authority, and what processes do with it in one go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from keyauthority.coherence.allowances import Allowances
from keyauthority.coherence.cache import CoherentCache
from keyauthority.coherence.calls import Calls
from keyauthority.coherence.fence import Fence
from keyauthority.coherence.sessions import Janitor, SessionBook, credited
from keyauthority.domain.books import Books
from keyauthority.domain.sessions import WHOLE, Allowance, Claim, Grant, Head
from keyauthority.storage.sql import leases
from tests.coherence.grant_rows import GrantRow, with_changes
from tests.coherence.history import SECRETS, History, judged

LEASE = 1.0


@dataclass(frozen=True)
class Parts:
    """The machines that run. A seeded bug replaces one, or names what the glue does wrong."""

    cache_type: type[CoherentCache[Any]] = CoherentCache
    book_type: type[SessionBook] = SessionBook
    calls_type: type[Calls[Any]] = Calls
    fence_type: type[Fence] = Fence
    janitor_type: type[Janitor] = Janitor
    allowances_type: type[Allowances] = Allowances
    books_type: type[Books] = Books
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer from the books."""

    verdict: str
    whole: bool
    head: Head
    left: float


@dataclass
class Database:
    """The books. Sessions are rows here if several processes share them."""

    history: History
    parts: Parts
    epoch: int = 1
    revision: int = 1
    changes: list[tuple[int, str]] = field(default_factory=list)
    facts: frozenset[str] = frozenset()
    settling: bool = False
    oldest: int = 0
    # No two sessions have the same, at an old primary either.
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.book = self.parts.book_type()
        self.backup = (self.revision, list(self.changes), self.facts)

    def copy(self) -> Database:
        """As an old primary goes on having it."""
        old = Database(self.history, self.parts, self.epoch, self.revision, list(self.changes))
        old.facts, old.settling, old.numbers = self.facts, self.settling, self.numbers
        return old

    def read(self, secret: str) -> Given:
        verdict = judged(secret, self.facts)
        whole = f"{SECRETS[secret]} revoked" in self.facts
        return Given(verdict, whole, Head(self.epoch, self.revision), 60.0)

    def new_id(self) -> str:
        return f"session{next(self.numbers)}"

    def join(self, book: SessionBook) -> str:
        session_id = self.new_id()
        book.join(session_id, "")
        return session_id

    def grant(self, session_id: str, claim: Claim, allowance: Allowance) -> Grant:
        lease = round(1000 * LEASE)
        row = GrantRow(
            epoch=self.epoch,
            revision=self.revision,
            lease=lease,
            longest_lease=lease,
            settling=self.settling,
            foreign_secrets=True,
            caller_id=None,
            oldest_change=self.changes[0][0] if self.changes else None,
        )
        return leases.grant(
            with_changes(row, [each for each in self.changes if each[0] > claim.revision]),
            session_id,
            "",
            claim,
            WHOLE if self.parts.wrong == "all granted" else allowance,
        )

    def acknowledge(self, book: SessionBook, session_id: str, claim: Claim, head: Head) -> None:
        credit = head.revision if self.parts.wrong == "head recorded" else credited(claim, head)
        if self.parts.wrong == "any epoch credited":
            credit = claim.revision
        book.acknowledge(session_id, credit)

    def prune(self) -> None:
        self.changes = self.changes[-2:]

    def save(self) -> None:
        self.backup = (self.revision, list(self.changes), self.facts)

    def restore(self, time: float) -> None:
        """The books become those of the backup, in a new epoch."""
        self.revision, self.changes, self.facts = (
            self.backup[0],
            list(self.backup[1]),
            self.backup[2],
        )
        self.epoch += 1
        self.settling = self.parts.wrong != "restore not settled"
        self.book.clear()
        self.history.restored(self.facts, time)
