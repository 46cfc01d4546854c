"""What of the workspaces' credits stands in slices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import BindParameter, bindparam, delete, func, select, tuple_, update

from keyauthority.domain.slices import OwnedSlice, Shared
from keyauthority.storage.ledger_tables import accounts
from keyauthority.storage.slice_tables import OPEN, SET_ASIDE, slice_of, slice_row, slices
from keyauthority.storage.sql.direct import Insertion
from keyauthority.storage.sql.statements import Repository
from keyauthority.storage.sql.sums import halves, whole

_KEY: Final = tuple_(slices.c.session_id, slices.c.workspace_id, slices.c.number)
_AT_ONCE: Final = 1_000

_WORKSPACES: Final[BindParameter[str]] = bindparam("workspace_ids", expanding=True)

# SQLite would look through all slices for pairs. A call names few sessions.
_OF_SESSIONS: Final = (
    select(slices)
    .where(slices.c.session_id.in_(bindparam("ids", expanding=True)))
    .where(slices.c.workspace_id.in_(_WORKSPACES))
    .order_by(slices.c.number)
)
_SHARED: Final = (
    select(
        slices.c.workspace_id,
        func.count(slices.c.session_id.distinct()).label("sessions"),
        func.sum(slices.c.amount).label("amount"),
    )
    .where(OPEN, slices.c.workspace_id.in_(_WORKSPACES))
    .where(slices.c.session_id != bindparam("beside"), slices.c.amount > 0)
    .group_by(slices.c.workspace_id)
)
_FORGET: Final = delete(slices).where(
    slices.c.session_id == bindparam("of_session"),
    slices.c.workspace_id == bindparam("of_workspace"),
    slices.c.number == bindparam("of_number"),
)
_PUT: Final = Insertion(
    slices,
    keys=("session_id", "workspace_id", "number"),
    replaced=("amount", "sequence", "granted", "word", "closed"),
)


class SqlSlices(Repository):
    """`Slices` within one transaction."""

    async def of_sessions(self, sessions: Collection[tuple[str, str]]) -> list[OwnedSlice]:
        ids = list({session_id for _, session_id in sessions})
        workspace_ids = list({workspace_id for workspace_id, _ in sessions})
        rows = await self._statements.read(_OF_SESSIONS, ids=ids, workspace_ids=workspace_ids)
        return [slice_of(row) for row in rows if (row.workspace_id, row.session_id) in sessions]

    async def shared(self, workspace_ids: Collection[str], beside: str) -> dict[str, Shared]:
        ids = list(workspace_ids)
        rows = await self._statements.read(_SHARED, workspace_ids=ids, beside=beside)
        return {row.workspace_id: Shared(row.sessions, int(row.amount)) for row in rows}

    async def put(self, changed: Sequence[OwnedSlice]) -> None:
        await self._statements.add(_PUT, [slice_row(one) for one in changed])

    async def forget(self, forgotten: Sequence[OwnedSlice]) -> None:
        keys = [
            {
                "of_session": one.session_id,
                "of_workspace": one.workspace_id,
                "of_number": one.slice.number,
            }
            for one in forgotten
        ]
        await self._statements.write(_FORGET, keys)

    async def sessions(self, after: str, limit: int) -> list[str]:
        # From one session to the next by the primary key: each may have very many slices.
        first = (
            select(func.min(slices.c.session_id).label("id"))
            .where(slices.c.session_id > after, ~SET_ASIDE)
            .cte("next_session", recursive=True)
        )
        following = select(func.min(slices.c.session_id)).where(
            slices.c.session_id > first.c.id, ~SET_ASIDE
        )
        steps = first.union_all(select(following.scalar_subquery()).where(first.c.id.is_not(None)))
        query = select(steps.c.id).where(steps.c.id.is_not(None)).limit(limit)
        return [row.id for row in await self._statements.rows(query)]

    async def set_aside(self, session_ids: Collection[str], until: datetime) -> int:
        over = (
            select(slices.c.session_id, slices.c.workspace_id, slices.c.number)
            .where(slices.c.session_id.in_(list(session_ids)), ~SET_ASIDE)
            .with_for_update(skip_locked=True)
        )
        return await self._statements.count(
            update(slices).where(_KEY.in_(over)).values(release_time=until)
        )

    async def due(self, now: datetime, after: str, limit: int) -> list[str]:
        query = (
            select(slices.c.workspace_id)
            .distinct()
            .where(SET_ASIDE, slices.c.release_time <= now, slices.c.workspace_id > after)
            .order_by(slices.c.workspace_id)
            .limit(limit)
        )
        return [row.workspace_id for row in await self._statements.rows(query)]

    async def due_of(self, workspace_id: str, now: datetime, limit: int) -> list[OwnedSlice]:
        query = (
            select(slices)
            .where(SET_ASIDE, slices.c.workspace_id == workspace_id)
            .where(slices.c.release_time <= now)
            .limit(limit)
        )
        return [slice_of(row) for row in await self._statements.rows(query)]

    async def amount(self) -> int:
        [held] = await self._statements.rows(select(*halves(slices.c.amount)))
        return whole(*held)

    async def void_all(self) -> None:
        query = (
            select(accounts.c.workspace_id)
            .where(accounts.c.escrowed > 0)
            .order_by(accounts.c.workspace_id)
        )
        rows = await self._statements.rows(self._statements.locked(query))
        for start in range(0, len(rows), _AT_ONCE):
            some = [row.workspace_id for row in rows[start : start + _AT_ONCE]]
            held = delete(slices).where(slices.c.workspace_id.in_(some))
            await self._statements.count(held)
            freed = update(accounts).where(accounts.c.workspace_id.in_(some))
            await self._statements.count(freed.values(escrowed=0))
        # Of the others they are empty. One that stayed would be taken for one that lacks what was held.
        await self._statements.count(delete(slices).where(slices.c.amount == 0))
