"""The workspaces."""

from __future__ import annotations

from collections.abc import Iterable

from keyauthority.domain.ports import Cursor
from keyauthority.domain.workspaces import Workspace
from keyauthority.storage.memory.books import Books, newest


class MemoryWorkspaces:
    """`Workspaces` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._workspaces = books.workspaces

    async def get(self, workspace_id: str) -> Workspace | None:
        return self._workspaces.get(workspace_id)

    async def get_all(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        return {one: self._workspaces[one] for one in workspace_ids if one in self._workspaces}

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        return newest(self._workspaces.values(), limit, after)

    async def insert(self, workspace: Workspace) -> None:
        self._workspaces[workspace.id] = workspace

    async def update(self, workspace: Workspace) -> None:
        self._workspaces[workspace.id] = workspace
