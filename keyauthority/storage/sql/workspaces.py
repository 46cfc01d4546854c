"""The workspaces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert, select, update

from keyauthority.domain.repositories import Cursor
from keyauthority.domain.workspaces import Workspace
from keyauthority.storage.sql.statements import Statements, page
from keyauthority.storage.tables import workspaces


class SqlWorkspaces:
    """`Workspaces` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def get(self, workspace_id: str) -> Workspace | None:
        query = select(workspaces).where(workspaces.c.id == workspace_id)
        row = await self._statements.row(self._statements.locked(query))
        return None if row is None else _workspace(row)

    async def get_all(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        query = select(workspaces).where(workspaces.c.id.in_(list(workspace_ids)))
        records = [_workspace(row) for row in await self._statements.rows(query)]
        return {one.id: one for one in records}

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        query = page(select(workspaces), workspaces, limit, after)
        return [_workspace(row) for row in await self._statements.rows(query)]

    async def insert(self, workspace: Workspace) -> None:
        await self._statements.count(insert(workspaces).values(asdict(workspace)))

    async def update(self, workspace: Workspace) -> None:
        statement = update(workspaces).where(workspaces.c.id == workspace.id)
        await self._statements.count(statement.values(asdict(workspace)))


def _workspace(row: Any) -> Workspace:
    return Workspace(
        id=row.id,
        name=row.name,
        suspended=row.suspended,
        create_time=row.create_time,
        update_time=row.update_time,
        version=row.version,
    )
