"""The workspaces' credits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice

from keyauthority.domain.ledger import Drawn, Entry, EntryFilter, Kind, Sums
from keyauthority.domain.usage import Group, Span, UsageSum
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.storage.memory.books import Repository


class MemoryLedger(Repository):
    """`Ledger` within one transaction."""

    async def account(self, workspace_id: str) -> tuple[Account, int]:
        account = self._books.accounts.get(workspace_id, Account(0))
        return account, len(self._entries(workspace_id))

    async def grants(self, workspace_id: str) -> list[Grant]:
        mine = self._books.grants.get(workspace_id, {})
        return [grant for grant in mine.values() if grant.remaining]

    async def grant(self, workspace_id: str, grant_id: str) -> Grant | None:
        return self._books.grants.get(workspace_id, {}).get(grant_id)

    async def drawn(self, workspace_id: str, number: int) -> list[tuple[Grant, int]]:
        mine = self._books.grants.get(workspace_id, {})
        drawn = self._books.draws.get(workspace_id, ())
        return [(mine[one.grant_id], one.amount) for one in drawn if one.number == number]

    async def write(
        self,
        workspace_id: str,
        account: Account,
        new: Sequence[Entry],
        changed: Sequence[Grant],
        drawn: Sequence[Drawn],
    ) -> None:
        references = [entry.reference for entry in (*self._entries(workspace_id), *new)]
        if len(set(references)) < len(references):
            raise ValueError("the ledger has an entry under that reference")
        self._books.accounts[workspace_id] = account
        self._books.entries[workspace_id] = (*self._entries(workspace_id), *new)
        mine = self._books.grants.get(workspace_id, {})
        self._books.grants[workspace_id] = {**mine, **{grant.id: grant for grant in changed}}
        self._books.draws[workspace_id] = (*self._books.draws.get(workspace_id, ()), *drawn)

    async def by_reference(self, workspace_id: str, references: Iterable[str]) -> dict[str, Entry]:
        wanted = set(references)
        mine = self._entries(workspace_id)
        return {entry.reference: entry for entry in mine if entry.reference in wanted}

    async def sum_of(self, workspace_id: str, kind: Kind, subject: str) -> int:
        return sum(
            entry.amount
            for entry in self._entries(workspace_id)
            if entry.kind is kind and entry.subject == subject
        )

    async def page(self, which: EntryFilter, limit: int, before: int | None) -> list[Entry]:
        matching = (
            entry
            for entry in reversed(self._entries(which.workspace_id))
            if (before is None or entry.number < before) and _matches(which, entry)
        )
        return list(islice(matching, limit))

    async def due(self, now: datetime, after: str, limit: int) -> list[str]:
        due = [
            workspace_id
            for workspace_id, mine in self._books.grants.items()
            if workspace_id > after
            and any(
                grant.remaining and grant.expire_time is not None and grant.expire_time <= now
                for grant in mine.values()
            )
            and self._books.accounts[workspace_id].available > 0
        ]
        return sorted(due)[:limit]

    async def time_of(
        self, workspace_id: str, start: datetime, end: datetime, place: int
    ) -> datetime | None:
        times = [entry.time for entry in self._entries(workspace_id) if start <= entry.time < end]
        return next(iter(sorted(times)[place:]), None)

    async def usage(
        self, workspace_id: str, span: Span, groups: frozenset[Group]
    ) -> list[UsageSum]:
        mine = self._entries(workspace_id)
        charges = {entry.reference: entry for entry in mine if entry.kind is Kind.CHARGE}
        within = [entry for entry in mine if span.start <= entry.time < span.end]
        return [
            _part(charge, entry, span, groups)
            for entry in within
            if entry.kind in (Kind.CHARGE, Kind.REFUND)
            and (charge := charges.get(_charged(entry))) is not None
        ]

    async def sums(self, workspace_id: str) -> Sums:
        mine = self._entries(workspace_id)
        remaining = sum(grant.remaining for grant in await self.grants(workspace_id))
        if not mine:
            return Sums(remaining=remaining)
        amounts = sum(entry.amount for entry in mine)
        return Sums(len(mine), amounts, mine[-1].number, mine[-1].balance, remaining)

    def _entries(self, workspace_id: str) -> tuple[Entry, ...]:
        return self._books.entries.get(workspace_id, ())


def _charged(entry: Entry) -> str:
    return entry.reference if entry.kind is Kind.CHARGE else entry.subject


def _part(charge: Entry, entry: Entry, span: Span, groups: frozenset[Group]) -> UsageSum:
    # Of a charge, or of a refund of *charge*.
    itself = entry is charge
    return UsageSum(
        span.day_of(entry.time) if Group.DAY in groups else None,
        charge.use.key_id if Group.KEY in groups else "",
        charge.use.model if Group.MODEL in groups else "",
        -entry.amount,
        int(itself),
        int(itself and charge.use.estimated),
        charge.use.counts if itself else {},
    )


def _matches(which: EntryFilter, entry: Entry) -> bool:
    return (
        which.kind in (None, entry.kind)
        and which.key_id in ("", entry.use.key_id)
        and which.model in ("", entry.use.model)
        and which.reference in ("", entry.reference)
        and (which.start is None or which.start <= entry.time)
        and (which.end is None or entry.time < which.end)
    )
