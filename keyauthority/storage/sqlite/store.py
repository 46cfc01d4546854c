"""The books in a SQLite file, and the sessions beside them in the memory of the one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select, update

from keyauthority.domain.ports import Clock
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Allowance, Claim, Grant, Head, Terms
from keyauthority.storage.in_memory_sessions import InMemorySessions
from keyauthority.storage.sql.leases import GRANT, TERMS, SqlLeases, grant, terms_of
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.sql.store import SqlStore, transaction
from keyauthority.storage.sqlite.database import SqliteDatabase
from keyauthority.storage.sqlite.unchanged import Unchanged
from keyauthority.storage.tables import terms

Result = TypeVar("Result")

_TERMS = select(*TERMS)


class SqliteStore(SqlStore):
    """`Store` over a SQLite file. A new epoch ends the sessions in memory once it is committed."""

    changes_at_once = 1

    def __init__(self, database: SqliteDatabase, clock: Clock) -> None:
        self._in_memory = SqliteSessions(database, clock)
        super().__init__(database, self._in_memory)

    async def change(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        async def change(statements: Statements) -> tuple[Result, bool]:
            leases = SqliteLeases(statements)
            return await work(transaction(statements, leases)), leases.epoch_begun

        result, epoch_begun = await self._database.change(change)
        if epoch_begun:
            self._in_memory.clear()
        return result


class SqliteLeases(SqlLeases):
    """`Leases` that remember in the file whether the last process ended with no lease left."""

    epoch_begun = False

    async def begin(self) -> bool:
        [row] = await self._statements.rows(select(terms.c.clean_stop))
        await self._statements.count(update(terms).values(clean_stop=False))
        return bool(row.clean_stop)

    async def begin_epoch(self, time: datetime) -> Head:
        self.epoch_begun = True
        return await super().begin_epoch(time)


class SqliteSessions(InMemorySessions):
    """`Sessions` in memory, with heads, terms and callers read from the file."""

    def __init__(self, database: SqliteDatabase, clock: Clock) -> None:
        super().__init__(clock)
        self._books = Unchanged(database)

    async def _grant(
        self, session_id: str, caller_id: str, claim: Claim, allowance: Allowance
    ) -> Grant:
        rows = await self._books.read(GRANT, caller_id=caller_id, revision=claim.revision)
        return grant(rows, session_id, caller_id, claim, allowance)

    async def _terms(self) -> Terms:
        return terms_of((await self._books.read(_TERMS))[0])
