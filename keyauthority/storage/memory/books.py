"""The contents of the books, in plain dictionaries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

from keyauthority.domain.auditing import AuditEntry
from keyauthority.domain.callers import Caller
from keyauthority.domain.keys import Key
from keyauthority.domain.ledger import Drawn, Entry
from keyauthority.domain.peppers import Pepper
from keyauthority.domain.repositories import Cursor, Replay
from keyauthority.domain.sessions import Terms
from keyauthority.domain.slices import OwnedSlice
from keyauthority.domain.workspaces import Workspace
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.pricing.prices import Price

LEASE: Final = timedelta(seconds=3)
TERMS: Final = Terms(LEASE, LEASE, settling=False, foreign_secrets=False)


class Dated(Protocol):
    """A record that pages are ordered by."""

    @property
    def id(self) -> str: ...

    @property
    def create_time(self) -> datetime: ...


Record = TypeVar("Record", bound=Dated)


@dataclass(slots=True)
class Books:
    """One state. Records are immutable, so a copy of the dictionaries is a copy of all.

    `imports` are key ids by the digests of foreign secrets, `subjects` are by revision, up to
    `revision`; the four of credits are by workspace, grants by id within; `slices` are by workspace,
    session and number; `audit` is by id, oldest first; `audited` is the newest id.
    """

    keys: dict[str, Key] = field(default_factory=dict)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    callers: dict[str, Caller] = field(default_factory=dict)
    subjects: dict[int, str] = field(default_factory=dict)
    audit: dict[int, AuditEntry] = field(default_factory=dict)
    peppers: dict[int, Pepper] = field(default_factory=dict)
    replays: dict[tuple[str, str], Replay] = field(default_factory=dict)
    imports: dict[bytes, str] = field(default_factory=dict)
    last_used: dict[tuple[str, bytes], datetime] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    entries: dict[str, tuple[Entry, ...]] = field(default_factory=dict)
    grants: dict[str, Mapping[str, Grant]] = field(default_factory=dict)
    draws: dict[str, tuple[Drawn, ...]] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    slices: dict[tuple[str, str, int], OwnedSlice] = field(default_factory=dict)
    audited: int = 0
    epoch: int = 1
    revision: int = 0
    terms: Terms = field(default_factory=lambda: TERMS)

    def copy(self) -> Books:
        """Returns a copy, to be changed apart."""
        return Books(**{part.name: copy(getattr(self, part.name)) for part in fields(self)})

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undoes what the block did if it raises."""
        before = self.copy()
        try:
            yield
        except BaseException:
            for part in fields(self):
                setattr(self, part.name, getattr(before, part.name))
            raise


class Repository:
    """A part of *books*, within a transaction that began at *time*."""

    def __init__(self, books: Books, time: datetime) -> None:
        self._books = books
        self._time = time


def newest(records: Iterable[Record], limit: int, after: Cursor | None) -> list[Record]:
    """Returns up to *limit* of *records*, by create time and id downwards, after *after*."""
    ordered = sorted(records, key=_cursor, reverse=True)
    return [record for record in ordered if after is None or _cursor(record) < after][:limit]


def _cursor(record: Dated) -> Cursor:
    return record.create_time, record.id
