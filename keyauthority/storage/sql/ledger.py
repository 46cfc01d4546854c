"""The workspaces' credits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, insert, select

from keyauthority.domain.ledger import Drawn, Entry, EntryFilter, Kind, Sums
from keyauthority.domain.usage import Group, Span, UsageSum
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.storage.ledger_tables import (
    IN_USE,
    accounts,
    draws,
    entries,
    entry_of,
    entry_values,
    grants,
)
from keyauthority.storage.sql.statements import Repository
from keyauthority.storage.sql.sums import halves, whole
from keyauthority.storage.sql.usage import UsageReader

_GRANT = (
    grants.c.id,
    grants.c.remaining,
    grants.c.create_time,
    grants.c.priority,
    grants.c.expire_time,
    grants.c.promotional,
)


class SqlLedger(Repository):
    """`Ledger` within one transaction."""

    async def account(self, workspace_id: str) -> tuple[Account, int]:
        # A lock on a row that does not exist yet keeps nobody out.
        if self._statements.locking:
            await self._statements.alone(f"credits {workspace_id}")
        query = select(accounts).where(accounts.c.workspace_id == workspace_id)
        row = await self._statements.row(self._statements.locked(query))
        return (Account(0), 0) if row is None else (Account(row.balance, row.escrowed), row.entries)

    async def grants(self, workspace_id: str) -> list[Grant]:
        query = select(*_GRANT).where(grants.c.workspace_id == workspace_id, IN_USE)
        return [Grant(**row._asdict()) for row in await self._statements.rows(query)]

    async def grant(self, workspace_id: str, grant_id: str) -> Grant | None:
        query = select(*_GRANT).where(
            grants.c.workspace_id == workspace_id, grants.c.id == grant_id
        )
        row = await self._statements.row(query)
        return None if row is None else Grant(**row._asdict())

    async def drawn(self, workspace_id: str, number: int) -> list[tuple[Grant, int]]:
        query = (
            select(draws.c.amount, *_GRANT)
            .join(grants, grants.c.id == draws.c.grant_id)
            .where(draws.c.workspace_id == workspace_id, draws.c.number == number)
        )
        rows = await self._statements.rows(query)
        return [(Grant(*grant), amount) for amount, *grant in rows]

    async def write(
        self,
        workspace_id: str,
        account: Account,
        new: Sequence[Entry],
        changed: Sequence[Grant],
        drawn: Sequence[Drawn],
    ) -> None:
        await self._statements.count(insert(entries), [entry_values(entry) for entry in new])
        put = self._statements.insert(grants)
        await self._statements.count(
            put.on_conflict_do_update(
                index_elements=[grants.c.id], set_={"remaining": put.excluded.remaining}
            ),
            [asdict(grant) | {"workspace_id": workspace_id} for grant in changed],
        )
        rows = [asdict(one) | {"workspace_id": workspace_id} for one in drawn]
        await self._statements.count(insert(draws), rows)
        put = self._statements.insert(accounts).values(
            workspace_id=workspace_id,
            balance=account.balance,
            escrowed=account.escrowed,
            entries=len(new),
        )
        await self._statements.count(
            put.on_conflict_do_update(
                index_elements=[accounts.c.workspace_id],
                set_={
                    "balance": put.excluded.balance,
                    "escrowed": put.excluded.escrowed,
                    "entries": accounts.c.entries + len(new),
                },
            )
        )

    async def by_reference(self, workspace_id: str, references: Iterable[str]) -> dict[str, Entry]:
        query = select(entries).where(
            entries.c.workspace_id == workspace_id, entries.c.reference.in_(list(references))
        )
        return {row.reference: entry_of(row) for row in await self._statements.rows(query)}

    async def sum_of(self, workspace_id: str, kind: Kind, subject: str) -> int:
        query = select(func.coalesce(func.sum(entries.c.amount), 0)).where(
            entries.c.workspace_id == workspace_id,
            entries.c.kind == kind,
            entries.c.subject == subject,
        )
        row = await self._statements.row(query)
        return 0 if row is None else int(row[0])

    async def page(self, which: EntryFilter, limit: int, before: int | None) -> list[Entry]:
        query = select(entries).where(*_matches(which))
        if before is not None:
            query = query.where(entries.c.number < before)
        rows = await self._statements.rows(query.order_by(entries.c.number.desc()).limit(limit))
        return [entry_of(row) for row in rows]

    async def due(self, now: datetime, after: str, limit: int) -> list[str]:
        query = (
            select(grants.c.workspace_id)
            .distinct()
            .join(accounts, accounts.c.workspace_id == grants.c.workspace_id)
            .where(IN_USE, grants.c.expire_time <= now, accounts.c.balance > accounts.c.escrowed)
            .where(grants.c.workspace_id > after)
            .order_by(grants.c.workspace_id)
            .limit(limit)
        )
        return [row.workspace_id for row in await self._statements.rows(query)]

    async def sums(self, workspace_id: str) -> Sums:
        mine = entries.c.workspace_id == workspace_id
        newest = select(entries.c.number, entries.c.balance).where(mine)
        newest = newest.order_by(entries.c.number.desc()).limit(1)
        summed = select(func.count(), *halves(entries.c.amount)).where(mine)
        left = select(*halves(grants.c.remaining)).where(
            grants.c.workspace_id == workspace_id, IN_USE
        )
        last = await self._statements.row(newest)
        [(count, *amounts)] = await self._statements.rows(summed)
        [remaining] = await self._statements.rows(left)
        number, balance = (0, 0) if last is None else (last.number, last.balance)
        return Sums(count, whole(*amounts), number, balance, whole(*remaining))

    async def time_of(
        self, workspace_id: str, start: datetime, end: datetime, place: int
    ) -> datetime | None:
        query = select(entries.c.time).where(
            entries.c.workspace_id == workspace_id,
            entries.c.time >= start,
            entries.c.time < end,
        )
        row = await self._statements.row(query.order_by(entries.c.time).offset(place).limit(1))
        return None if row is None else row.time

    async def usage(
        self, workspace_id: str, span: Span, groups: frozenset[Group]
    ) -> list[UsageSum]:
        reader = UsageReader(self._statements, workspace_id, span, groups)
        return [*await reader.charges(), *await reader.counts(), *await reader.refunds()]


def _matches(which: EntryFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [entries.c.workspace_id == which.workspace_id]
    wanted: tuple[tuple[Any, Any], ...] = (
        (entries.c.kind, which.kind),
        (entries.c.key_id, which.key_id),
        (entries.c.model, which.model),
        (entries.c.reference, which.reference),
    )
    conditions.extend(column == value for column, value in wanted if value)
    if which.start is not None:
        conditions.append(entries.c.time >= which.start)
    if which.end is not None:
        conditions.append(entries.c.time < which.end)
    return conditions
