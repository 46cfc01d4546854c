"""The workspaces, the callers, and the sealed answers to retry-safe requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    and_,
    bindparam,
    delete,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.exc import IntegrityError

from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.repositories import Cursor, Replay
from keyauthority.domain.workspaces import Workspace
from keyauthority.storage.errors import certificate_name_taken, name_taken
from keyauthority.storage.sql.statements import Repository, page
from keyauthority.storage.tables import RoleSet, callers, replays, workspaces


class SqlWorkspaces(Repository):
    """`Workspaces` within one transaction."""

    async def get(self, workspace_id: str) -> Workspace | None:
        # Keys are added to a workspace side by side.
        await self._statements.together(_name(workspace_id))
        return await self._by_id(_BY_ID, workspace_id)

    async def to_change(self, workspace_id: str) -> Workspace | None:
        await self._statements.alone(_name(workspace_id))
        # Earlier versions, which may run beside this one during an upgrade, know the row's lock alone.
        query = _LOCKED_BY_ID if self._statements.locking else _BY_ID
        return await self._by_id(query, workspace_id)

    async def get_all(self, workspace_ids: Iterable[str]) -> dict[str, Workspace]:
        query = select(workspaces).where(workspaces.c.id.in_(list(workspace_ids)))
        rows = await self._statements.rows(query)
        return {row.id: Workspace(**row._asdict()) for row in rows}

    async def page(self, limit: int, after: Cursor | None) -> list[Workspace]:
        query = page(select(workspaces), workspaces, limit, after)
        return [Workspace(**row._asdict()) for row in await self._statements.rows(query)]

    async def insert(self, workspace: Workspace) -> None:
        await self._statements.count(insert(workspaces).values(asdict(workspace)))

    async def update(self, workspace: Workspace) -> None:
        statement = update(workspaces).where(workspaces.c.id == workspace.id)
        await self._statements.count(statement.values(asdict(workspace)))

    async def _by_id(self, query: Select[Any], workspace_id: str) -> Workspace | None:
        rows = await self._statements.read(query, id=workspace_id)
        return Workspace(**rows[0]._asdict()) if rows else None


def _name(workspace_id: str) -> str:
    # What it is locked by: the rows' own locks would let those who only read it overtake for ever
    # whoever waits to change it.
    return f"workspace {workspace_id}"


_BY_ID: Final = select(workspaces).where(workspaces.c.id == bindparam("id"))
_LOCKED_BY_ID: Final = _BY_ID.with_for_update(key_share=True)


IN_FORCE = callers.c.revoke_time.is_(None)


class SqlCallers(Repository):
    """`Callers` within one transaction."""

    async def get(self, caller_id: str) -> Caller | None:
        query = select(callers).where(callers.c.id == caller_id)
        return await self._first(self._statements.locked(query))

    async def by_name(self, name: str) -> Caller | None:
        return await self._first(select(callers).where(callers.c.name == name, IN_FORCE))

    async def by_certificate(self, certificate_names: Iterable[str]) -> Caller | None:
        names = [name for name in certificate_names if name]
        is_named = callers.c.certificate_name.in_(names)
        return await self._first(select(callers).where(is_named, IN_FORCE))

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        return await self._all(page(select(callers), callers, limit, after))

    async def never_sealed(self) -> list[Caller]:
        query = select(callers).where(callers.c.seal.is_(None), IN_FORCE).order_by(callers.c.id)
        return await self._all(self._statements.locked(query))

    async def admins(self) -> int:
        is_admin = type_coerce(callers.c.roles, Integer).bitwise_and(RoleSet.bit(Role.ADMIN)) != 0
        query = select(callers.c.id).where(is_admin, IN_FORCE)
        return len(await self._statements.rows(self._statements.locked(query)))

    async def insert(self, caller: Caller) -> None:
        await self._write(insert(callers).values(asdict(caller)), caller)

    async def update(self, caller: Caller) -> None:
        statement = update(callers).where(callers.c.id == caller.id)
        await self._write(statement.values(asdict(caller)), caller)

    async def _write(self, statement: Executable, caller: Caller) -> None:
        try:
            await self._statements.count(statement)
        except IntegrityError as error:
            # The driver names the column or its index, and nothing else of the row.
            if "certificate_name" in str(error.orig):
                raise certificate_name_taken(caller.certificate_name) from error
            if "name" in str(error.orig):
                raise name_taken(caller.name) from error
            raise

    async def _first(self, query: Select[Any]) -> Caller | None:
        row = await self._statements.row(query)
        return None if row is None else Caller(**row._asdict())

    async def _all(self, query: Select[Any]) -> list[Caller]:
        return [Caller(**row._asdict()) for row in await self._statements.rows(query)]


class SqlReplays(Repository):
    """`Replays` within one transaction."""

    async def get(self, caller_id: str, request_id: str) -> Replay | None:
        # The second of two equal requests waits for the first, and gets the answer of that one.
        await self._statements.alone(f"replay {caller_id} {request_id}")
        row = await self._statements.row(select(replays).where(_is_of(caller_id, request_id)))
        return None if row is None else Replay(**row._asdict())

    async def put(self, replay: Replay) -> None:
        await self._statements.alone(f"replay {replay.caller_id} {replay.request_id}")
        is_older = _is_of(replay.caller_id, replay.request_id)
        await self._statements.destroy(delete(replays).where(is_older))
        await self._statements.count(insert(replays).values(asdict(replay)))

    async def prune(self, now: datetime) -> int:
        return await self._statements.destroy(delete(replays).where(replays.c.expire_time <= now))


def _is_of(caller_id: str, request_id: str) -> ColumnElement[bool]:
    return and_(replays.c.caller_id == caller_id, replays.c.request_id == request_id)
