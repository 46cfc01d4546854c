"""The workspaces' credits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import islice

from keyauthority.domain.ledger import Entry, EntryFilter, Kind, Sums, Written
from keyauthority.domain.usage import CLASSES, Group, Span, UsageSum
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.storage.memory.books import Repository


class MemoryLedger(Repository):
    """`Ledger` within one transaction."""

    async def accounts(self, workspace_ids: Collection[str]) -> dict[str, tuple[Account, int]]:
        return {
            one: (self._books.accounts.get(one, Account(0)), len(self._entries(one)))
            for one in workspace_ids
            if one in self._books.workspaces
        }

    async def grants(self, workspace_ids: Collection[str]) -> dict[str, list[Grant]]:
        return {
            one: [grant for grant in self._books.grants[one].values() if grant.remaining]
            for one in workspace_ids
            if one in self._books.grants
        }

    async def grant(self, workspace_id: str, grant_id: str) -> Grant | None:
        return self._books.grants.get(workspace_id, {}).get(grant_id)

    async def grants_of(self, workspace_id: str, grant_ids: Collection[str]) -> dict[str, Grant]:
        mine = self._books.grants.get(workspace_id, {})
        return {one: mine[one] for one in grant_ids if one in mine}

    async def drawn(self, workspace_id: str, number: int) -> list[tuple[Grant, int]]:
        mine = self._books.grants.get(workspace_id, {})
        drawn = self._books.draws.get(workspace_id, ())
        return [(mine[one.grant_id], one.amount) for one in drawn if one.number == number]

    async def write(self, ledgers: Sequence[Written]) -> None:
        for one in ledgers:
            self._write(one)

    def _write(self, one: Written) -> None:
        entries = (*self._entries(one.workspace_id), *one.entries)
        if len({entry.reference for entry in entries}) < len(entries):
            raise ValueError("the ledger has an entry under that reference")
        self._books.accounts[one.workspace_id] = one.account
        self._books.entries[one.workspace_id] = entries
        mine = self._books.grants.get(one.workspace_id, {})
        changed = {grant.id: grant for grant in one.grants}
        self._books.grants[one.workspace_id] = {**mine, **changed}
        drawn = self._books.draws.get(one.workspace_id, ())
        self._books.draws[one.workspace_id] = (*drawn, *one.drawn)

    async def by_reference(
        self, names: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Entry]:
        wanted = set(names)
        return {
            (one, entry.reference): entry
            for one in {workspace_id for workspace_id, _ in wanted}
            for entry in self._entries(one)
            if (one, entry.reference) in wanted
        }

    async def sum_of(self, workspace_id: str, kind: Kind, subject: str) -> int:
        return sum(
            entry.amount
            for entry in self._entries(workspace_id)
            if entry.kind is kind and entry.subject == subject
        )

    async def page(
        self, which: EntryFilter, limit: int, before: int | None
    ) -> tuple[list[Entry], int | None]:
        matching = (
            entry
            for entry in reversed(self._entries(which.workspace_id))
            if (before is None or entry.number < before) and _matches(which, entry)
        )
        return list(islice(matching, limit)), None

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
        grants = self._books.grants.get(workspace_id, {}).values()
        remaining = sum(grant.remaining for grant in grants)
        slices = self._books.slices.values()
        escrowed = sum(one.slice.amount for one in slices if one.workspace_id == workspace_id)
        newest, balance = (mine[-1].number, mine[-1].balance) if mine else (0, 0)
        return Sums(newest, balance, remaining, escrowed)

    async def sum_up(self, workspace_id: str, after: int | None, until: int) -> tuple[int, int]:
        mine = self._entries(workspace_id)
        until_then = [entry for entry in mine if entry.number <= until]
        amounts = [one.amount for one in until_then if after is None or one.number > after]
        return len(amounts), sum(amounts)

    def _entries(self, workspace_id: str) -> tuple[Entry, ...]:
        return self._books.entries.get(workspace_id, ())


def _charged(entry: Entry) -> str:
    return entry.reference if entry.kind is Kind.CHARGE else entry.subject


def _part(charge: Entry, entry: Entry, span: Span, groups: frozenset[Group]) -> UsageSum:
    # Of a charge, or of a refund of *charge*.
    itself = entry is charge
    used = charge.use.counts.keys() & set(CLASSES) if itself else ()
    return UsageSum(
        span.day_of(entry.time) if Group.DAY in groups else None,
        charge.use.key_id if Group.KEY in groups else "",
        charge.use.model if Group.MODEL in groups else "",
        -entry.amount,
        int(itself),
        int(itself and charge.use.estimated),
        {name: charge.use.counts[name] for name in used if charge.use.counts[name]},
        0 if itself else entry.amount,
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
