"""The workspaces' credits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import BindParameter, bindparam, func, select

from keyauthority.domain.ledger import Entry, EntryFilter, Kind, Sums, Written
from keyauthority.domain.usage import Group, Span, UsageSum
from keyauthority.escrow.grants import Grant
from keyauthority.escrow.slices import Account
from keyauthority.storage.ledger_tables import (
    IN_USE,
    accounts,
    draws,
    entries,
    entry_of,
    entry_row,
    grant_row,
    grants,
)
from keyauthority.storage.slice_tables import slices
from keyauthority.storage.sql.direct import Insertion
from keyauthority.storage.sql.entries import PIECE, EntryReader
from keyauthority.storage.sql.statements import Repository, Statements
from keyauthority.storage.sql.sums import halves, whole
from keyauthority.storage.sql.usage import UsageReader
from keyauthority.storage.tables import workspaces

_GRANT = (
    grants.c.id,
    grants.c.remaining,
    grants.c.create_time,
    grants.c.priority,
    grants.c.expire_time,
    grants.c.promotional,
)


_WORKSPACES: Final[BindParameter[str]] = bindparam("workspace_ids", expanding=True)

# Locked in one order, so that no two changes deadlock.
_ACCOUNTS: Final = (
    select(accounts)
    .where(accounts.c.workspace_id.in_(_WORKSPACES))
    .order_by(accounts.c.workspace_id)
)
_LOCKED_ACCOUNTS: Final = _ACCOUNTS.with_for_update(key_share=True)
_NEW: Final = (
    select(workspaces.c.id)
    .outerjoin(accounts, accounts.c.workspace_id == workspaces.c.id)
    .where(workspaces.c.id.in_(_WORKSPACES), accounts.c.workspace_id.is_(None))
    .order_by(workspaces.c.id)
)
_GRANTS: Final = select(grants.c.workspace_id, *_GRANT).where(
    grants.c.workspace_id.in_(_WORKSPACES), IN_USE
)

_ADD_ENTRY: Final = Insertion(entries)
_ADD_DRAW: Final = Insertion(draws)
_PUT_GRANT: Final = Insertion(grants, keys=("id",), replaced=("remaining",))
_PUT_ACCOUNT: Final = Insertion(
    accounts,
    keys=("workspace_id",),
    replaced=("balance", "escrowed"),
    added=("entries",),
)


class SqlLedger(Repository):
    """`Ledger` within one transaction; one statement of a listing looks at *piece* entries."""

    def __init__(self, statements: Statements, piece: int = PIECE) -> None:
        super().__init__(statements)
        self._piece = piece

    async def accounts(self, workspace_ids: Collection[str]) -> dict[str, tuple[Account, int]]:
        if self._statements.locking:
            await self._begin(workspace_ids)
        there = await self._accounts(workspace_ids)
        missing = [one for one in workspace_ids if one not in there]
        if not missing:
            return there
        query = select(workspaces.c.id).where(workspaces.c.id.in_(missing))
        new = [row.id for row in await self._statements.rows(query)]
        return {one: (Account(0), 0) for one in new} | there

    async def _begin(self, workspace_ids: Collection[str]) -> None:
        # A lock on a row that does not exist yet keeps nobody out. These locks come before those on
        # rows: whoever has a row locked waits for nothing but rows after it, so that none deadlock.
        for row in await self._statements.read(_NEW, workspace_ids=list(workspace_ids)):
            await self._statements.alone(f"credits {row.id}")

    async def _accounts(self, workspace_ids: Collection[str]) -> dict[str, tuple[Account, int]]:
        if not workspace_ids:
            return {}
        query = _LOCKED_ACCOUNTS if self._statements.locking else _ACCOUNTS
        rows = await self._statements.read(query, workspace_ids=list(workspace_ids))
        return {row.workspace_id: (Account(row.balance, row.escrowed), row.entries) for row in rows}

    async def grants(self, workspace_ids: Collection[str]) -> dict[str, list[Grant]]:
        by_workspace: dict[str, list[Grant]] = {}
        rows = await self._statements.read(_GRANTS, workspace_ids=list(workspace_ids))
        for workspace_id, *grant in rows:
            by_workspace.setdefault(workspace_id, []).append(Grant(*grant))
        return by_workspace

    async def grant(self, workspace_id: str, grant_id: str) -> Grant | None:
        return (await self.grants_of(workspace_id, [grant_id])).get(grant_id)

    async def grants_of(self, workspace_id: str, grant_ids: Collection[str]) -> dict[str, Grant]:
        query = select(*_GRANT).where(
            grants.c.workspace_id == workspace_id, grants.c.id.in_(list(grant_ids))
        )
        rows = await self._statements.rows(query)
        return {row.id: Grant(**row._asdict()) for row in rows}

    async def drawn(self, workspace_id: str, number: int) -> list[tuple[Grant, int]]:
        query = (
            select(draws.c.amount, *_GRANT)
            .join(grants, grants.c.id == draws.c.grant_id)
            .where(draws.c.workspace_id == workspace_id, draws.c.number == number)
        )
        rows = await self._statements.rows(query)
        return [(Grant(*grant), amount) for amount, *grant in rows]

    async def write(self, ledgers: Sequence[Written]) -> None:
        add = self._statements.add
        await add(_ADD_ENTRY, [entry_row(entry) for one in ledgers for entry in one.entries])
        await add(
            _PUT_GRANT,
            [grant_row(one.workspace_id, each) for one in ledgers for each in one.grants],
        )
        await add(
            _ADD_DRAW,
            [
                (one.workspace_id, drawn.number, drawn.grant_id, drawn.amount)
                for one in ledgers
                for drawn in one.drawn
            ],
        )
        changed = [(one.workspace_id, one.account, len(one.entries)) for one in ledgers]
        await add(
            _PUT_ACCOUNT,
            [
                (workspace_id, account.balance, account.escrowed, new)
                for workspace_id, account, new in changed
            ],
        )

    async def by_reference(
        self, names: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Entry]:
        # A table to join, since SQLite would look through all entries for pairs in a list.
        workspace_id, reference = self._statements.pairs(sorted(set(names)))
        query = select(entries).where(
            entries.c.workspace_id == workspace_id, entries.c.reference == reference
        )
        rows = await self._statements.rows(query)
        return {(row.workspace_id, row.reference): entry_of(row) for row in rows}

    async def sum_of(self, workspace_id: str, kind: Kind, subject: str) -> int:
        query = select(func.coalesce(func.sum(entries.c.amount), 0)).where(
            entries.c.workspace_id == workspace_id,
            entries.c.kind == kind,
            entries.c.subject == subject,
        )
        row = await self._statements.row(query)
        return 0 if row is None else int(row[0])

    async def page(
        self, which: EntryFilter, limit: int, before: int | None
    ) -> tuple[list[Entry], int | None]:
        return await EntryReader(self._statements, which, self._piece).page(limit, before)

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
        left = select(*halves(grants.c.remaining)).where(
            grants.c.workspace_id == workspace_id, IN_USE
        )
        last = await self._statements.row(newest)
        [remaining] = await self._statements.rows(left)
        held = select(*halves(slices.c.amount)).where(slices.c.workspace_id == workspace_id)
        [escrowed] = await self._statements.rows(held)
        number, balance = (0, 0) if last is None else (last.number, last.balance)
        return Sums(number, balance, whole(*remaining), whole(*escrowed))

    async def sum_up(self, workspace_id: str, after: int | None, until: int) -> tuple[int, int]:
        query = select(func.count(), *halves(entries.c.amount)).where(
            entries.c.workspace_id == workspace_id, entries.c.number <= until
        )
        if after is not None:
            query = query.where(entries.c.number > after)
        [(count, *amounts)] = await self._statements.rows(query)
        return int(count), whole(*amounts)

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
        return [*await reader.charges(), *await reader.refunds()]
