"""What the books keep of credits, within one transaction: ledgers, slices and prices."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from keyauthority.domain.ledger import Entry, EntryFilter, Kind, Sums, Written
from keyauthority.domain.slices import OwnedSlice, Shared
from keyauthority.domain.usage import Group, Span, UsageSum
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.pricing.prices import Price


class Ledger(Protocol):
    """The workspaces' credits, within one transaction."""

    async def accounts(self, workspace_ids: Collection[str]) -> dict[str, tuple[Account, int]]:
        """Returns the accounts of those of the workspaces that exist, each with its newest entry's number.

        An account without entries is zeros. In a changing transaction the accounts stay locked until
        its end; they are locked in the order of their ids.
        """

    async def grants(self, workspace_ids: Collection[str]) -> dict[str, list[Grant]]:
        """Returns by workspace the grants of which something remains."""

    async def grant(self, workspace_id: str, grant_id: str) -> Grant | None:
        """Returns the grant, used up or not."""

    async def grants_of(self, workspace_id: str, grant_ids: Collection[str]) -> dict[str, Grant]:
        """Returns those of the grants that there are, used up or not, by id."""

    async def drawn(self, workspace_id: str, number: int) -> list[tuple[Grant, int]]:
        """Returns the grants that the entry drew from, as they are now, and how much it took of each."""

    async def write(self, ledgers: Sequence[Written]) -> None:
        """Adds the entries and what they drew, and replaces accounts and grants, or adds them."""

    async def by_reference(
        self, names: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Entry]:
        """Returns the entries under those of *names* (workspace, reference) that there are."""

    async def sum_of(self, workspace_id: str, kind: Kind, subject: str) -> int:
        """Returns the sum of the amounts of all entries of *kind* with *subject*."""

    async def page(
        self, which: EntryFilter, limit: int, before: int | None
    ) -> tuple[list[Entry], int | None]:
        """Returns up to *limit* entries, newest first, with numbers below *before*.

        Only a part of the ledger is looked through, so that others need not wait. The number is the one
        below which there may be more entries; None: all were looked at, or there are *limit*.
        """

    async def due(self, now: datetime, after: str, limit: int) -> list[str]:
        """Returns up to *limit* workspaces with grants that expire at *now* or before.

        They are sorted, and beyond the id *after*. Those of which all that is left stands in slices are left out.
        """

    async def time_of(
        self, workspace_id: str, start: datetime, end: datetime, place: int
    ) -> datetime | None:
        """Returns the time of an entry from *start* to before *end*, by time: after *place* others.

        None if there are no more than these.
        """

    async def usage(
        self, workspace_id: str, span: Span, groups: frozenset[Group]
    ) -> list[UsageSum]:
        """Returns the sums of the entries in *span* by *groups*, in parts: several may be of one group."""

    async def sums(self, workspace_id: str) -> Sums:
        """Returns the newest entry's number and balance, and what grants and slices add up to."""

    async def sum_up(self, workspace_id: str, after: int | None, until: int) -> tuple[int, int]:
        """Returns how many entries there are beyond the number *after* and up to *until*, and their sum.

        None for *after*: from the first on.
        """


class Prices(Protocol):
    """The price table, within one transaction."""

    async def to_change(self, models: Iterable[str]) -> list[Price]:
        """Returns all rows with those patterns of models, for a transaction that adds some.

        Others that do wait until its end.
        """

    async def insert(self, prices: Sequence[Price]) -> None:
        """Adds rows. No other has the same id, or the same patterns and time."""

    async def current(self, now: datetime) -> list[Price]:
        """Returns the rows that count at *now* or later: no other took over by then."""

    async def count(self, now: datetime) -> int:
        """Returns how many these are."""

    async def page(self, limit: int, after: tuple[datetime, str] | None) -> list[Price]:
        """Returns up to *limit* rows after *after*, by effective time and id downwards."""


class Slices(Protocol):
    """What of the workspaces' credits stands in slices, within one transaction.

    Whoever changes a slice has its workspace's account locked (`Ledger.accounts`), but for
    `set_aside`.
    """

    async def of_sessions(self, sessions: Collection[tuple[str, str]]) -> list[OwnedSlice]:
        """Returns the slices of these (workspace, session), by their numbers."""

    async def shared(self, workspace_ids: Collection[str], beside: str) -> dict[str, Shared]:
        """Returns what sessions other than *beside* have in open slices of the workspaces.

        Empty slices share nothing, and those that are set aside are nobody's. A workspace without any is left out.
        """

    async def put(self, slices: Sequence[OwnedSlice]) -> None:
        """Adds or replaces slices. A slice that is set aside stays so."""

    async def forget(self, slices: Sequence[OwnedSlice]) -> None:
        """Deletes slices."""

    async def sessions(self, after: str, limit: int) -> list[str]:
        """Returns up to *limit* sessions beyond the id *after*, sorted, with slices not set aside."""

    async def set_aside(self, session_ids: Collection[str], until: datetime) -> int:
        """Has what is left of the sessions' slices go back at *until*; returns how many they are.

        Those that another transaction is changing are left for the next time.
        """

    async def due(self, now: datetime, after: str, limit: int) -> list[str]:
        """Returns up to *limit* workspaces beyond the id *after*, sorted, with slices to go back."""

    async def due_of(self, workspace_id: str, now: datetime, limit: int) -> list[OwnedSlice]:
        """Returns up to *limit* of the workspace's slices that are to go back at *now* or before."""

    async def amount(self) -> int:
        """Returns what stands in slices of all workspaces. It reads all slices."""

    async def void_all(self) -> None:
        """Deletes the slices of all workspaces of whose credits some stand in slices, which end so.

        Locks the accounts first, in the order of their ids.
        """
