"""The callers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Executable, Integer, Select, insert, select, type_coerce, update
from sqlalchemy.exc import IntegrityError

from keyauthority.domain.callers import Caller, Role
from keyauthority.domain.repositories import Cursor
from keyauthority.storage.errors import certificate_name_taken, name_taken
from keyauthority.storage.sql.statements import Statements, page
from keyauthority.storage.tables import RoleSet, callers

IN_FORCE = callers.c.revoke_time.is_(None)


class SqlCallers:
    """`Callers` within one transaction."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    async def get(self, caller_id: str) -> Caller | None:
        query = select(callers).where(callers.c.id == caller_id)
        return await self._first(self._statements.locked(query))

    async def by_name(self, name: str) -> Caller | None:
        return await self._first(select(callers).where(callers.c.name == name, IN_FORCE))

    async def by_certificate(self, certificate_names: Iterable[str]) -> Caller | None:
        names = [name for name in certificate_names if name]
        found = callers.c.certificate_name.in_(names)
        return await self._first(select(callers).where(found, IN_FORCE))

    async def page(self, limit: int, after: Cursor | None) -> list[Caller]:
        query = page(select(callers), callers, limit, after)
        return [caller(row) for row in await self._statements.rows(query)]

    async def never_sealed(self) -> list[Caller]:
        query = select(callers).where(callers.c.seal.is_(None), IN_FORCE).order_by(callers.c.id)
        return [caller(row) for row in await self._statements.rows(self._statements.locked(query))]

    async def admins(self) -> int:
        is_admin = type_coerce(callers.c.roles, Integer).bitwise_and(RoleSet.bit(Role.ADMIN)) != 0
        query = select(callers.c.id).where(is_admin, IN_FORCE)
        return len(await self._statements.rows(self._statements.locked(query)))

    async def insert(self, caller: Caller) -> None:
        await self._write(insert(callers).values(_row(caller)), caller)

    async def update(self, caller: Caller) -> None:
        statement = update(callers).where(callers.c.id == caller.id)
        await self._write(statement.values(_row(caller)), caller)

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
        return None if row is None else caller(row)


def caller(row: Any) -> Caller:
    """The caller of a row of the table."""
    return Caller(
        id=row.id,
        name=row.name,
        roles=row.roles,
        workspace_ids=row.workspace_ids,
        certificate_name=row.certificate_name,
        digest=row.digest,
        pepper_version=row.pepper_version,
        token_hint=row.token_hint,
        create_time=row.create_time,
        revoke_time=row.revoke_time,
        acts_for_people=row.acts_for_people,
        seal=row.seal,
    )


def _row(caller: Caller) -> dict[str, Any]:
    return {column.name: getattr(caller, column.name) for column in callers.c}
