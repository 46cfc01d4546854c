"""Creating, renaming, suspending and resuming workspaces."""

from __future__ import annotations

from collections.abc import Sequence

from keyauthority.domain import etags, facts, limits, secrets
from keyauthority.domain.books import Books, Change
from keyauthority.domain.callers import Actor
from keyauthority.domain.errors import workspace_not_found
from keyauthority.domain.facts import Action, Fact
from keyauthority.domain.repositories import Cursor
from keyauthority.domain.sessions import Receipt
from keyauthority.domain.workspaces import Workspace


class ManagingWorkspaces:
    """Administers workspaces."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def create(self, actor: Actor, name: str) -> Workspace:
        """Creates a workspace; raises `FIELD_INVALID`."""
        limits.name(name)

        async def work(change: Change) -> Workspace:
            tx = change.tx
            workspace = Workspace(
                id=secrets.new_id("ws"),
                name=name,
                suspended=False,
                create_time=tx.time,
                update_time=tx.time,
                version=1,
            )
            await tx.workspaces.insert(workspace)
            fact = Fact(Action.WORKSPACE_CREATED, {"name": name})
            change.records(fact, workspace.id, workspace.id)
            return workspace

        return await self._books.record(actor, work)

    async def get(self, workspace_id: str) -> Workspace:
        """Returns the workspace; raises `WORKSPACE_NOT_FOUND`."""
        workspace = await self._books.read(lambda tx: tx.workspaces.get(workspace_id))
        return _existing(workspace, workspace_id)

    async def get_all(self, workspace_ids: Sequence[str]) -> list[Workspace]:
        """Returns those of the workspaces that exist, in order; raises `FIELD_INVALID`."""
        limits.ids(workspace_ids, "workspace")
        by_id = await self._books.read(lambda tx: tx.workspaces.get_all(workspace_ids))
        return [by_id[workspace_id] for workspace_id in workspace_ids if workspace_id in by_id]

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        """Returns up to *limit* workspaces, newest first."""
        return await self._books.read(lambda tx: tx.workspaces.page(limit, after))

    async def update(
        self,
        actor: Actor,
        workspace_id: str,
        *,
        name: str | None,
        suspended: bool | None,
        etag: str,
    ) -> tuple[Workspace, Receipt]:
        """Renames, suspends or resumes; None leaves a field as it is.

        Raises `KeyAuthorityError`: `FIELD_INVALID`, `WORKSPACE_NOT_FOUND`, `ETAG_MISMATCH`.
        """

        async def work(change: Change) -> Workspace:
            before = _existing(await change.tx.workspaces.to_change(workspace_id), workspace_id)
            etags.check(etag, before.id, before.version)
            after = before.updated(
                change.tx.time,
                name=before.name if name is None else limits.name(name),
                suspended=before.suspended if suspended is None else suspended,
            )
            if after is not before:
                await change.tx.workspaces.update(after)
                change.alters(workspace_id, workspace_id, *facts.of_workspace(before, after))
            return after

        return await self._books.change(actor, work)


def _existing(workspace: Workspace | None, workspace_id: str) -> Workspace:
    if workspace is None:
        raise workspace_not_found(workspace_id)
    return workspace
