"""The books of the authority in a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Select

from keyauthority.domain.callers import Caller
from keyauthority.domain.ports import Sessions, Snapshot
from keyauthority.domain.repositories import Transaction
from keyauthority.storage.alone import SessionsAlone
from keyauthority.storage.sql import snapshots
from keyauthority.storage.sql.audit import SqlAuditLog
from keyauthority.storage.sql.callers import SqlCallers, caller
from keyauthority.storage.sql.keys import SqlKeys
from keyauthority.storage.sql.last_used import SqlLastUses
from keyauthority.storage.sql.leases import SqlFeed, SqlLeases
from keyauthority.storage.sql.peppers import SqlPeppers
from keyauthority.storage.sql.replays import SqlReplays
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.sql.workspaces import SqlWorkspaces


class Database(Protocol):
    """What differs from database to database: how a transaction is opened, how a lone read runs."""

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        """The rows of *query*, with its columns by name, for the *values* of its parameters; in one
        round trip.
        """

    async def read_now(self, query: Select[Any], **values: Any) -> tuple[Sequence[Any], datetime]:
        """The same, at least one row, and the time just before the moment that they are of.

        Were it the time after, a key could be called expired that was extended in time. So a change
        between the two counts as made after this time: a verdict by the new state is right.
        """

    def changing(self) -> AbstractAsyncContextManager[Statements]:
        """A transaction to change: durable when the block ends, undone if it raises."""

    def reading(self) -> AbstractAsyncContextManager[Statements]:
        """A transaction that sees one state."""


class SqlStore:
    """`Store` over a SQL database."""

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self.sessions = sessions
        self._database = database

    async def snapshot(
        self,
        key_ids: Sequence[str],
        digests: Sequence[bytes] = (),
        secrets: Sequence[bytes] | None = None,
    ) -> Snapshot:
        if secrets is not None:
            pairs = max(len(key_ids), 1) * len(secrets)
            query = snapshots.PRESENTED[pairs <= snapshots.FEW, bool(digests)]
        else:
            query = snapshots.SNAPSHOT_WITH_IMPORTS if digests else snapshots.SNAPSHOT
        rows, time = await self._database.read_now(
            query, ids=key_ids, digests=digests, secrets=secrets
        )
        return snapshots.snapshot(rows, time, digests)

    async def caller(self, caller_id: str) -> Caller | None:
        rows = await self._database.read(snapshots.CALLER, ids=[caller_id])
        return caller(rows[0]) if rows else None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        async with self._database.reading() as statements:
            yield _transaction(statements, SqlLeases(statements))

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Transaction]:
        async with self._database.changing() as statements:
            leases = SqlLeases(statements)
            yield _transaction(statements, leases)
        if leases.epoch_begun and isinstance(self.sessions, SessionsAlone):
            # Where sessions are rows, they ended in the transaction.
            self.sessions.clear()


def _transaction(statements: Statements, leases: SqlLeases) -> Transaction:
    return Transaction(
        time=statements.time,
        keys=SqlKeys(statements),
        workspaces=SqlWorkspaces(statements),
        callers=SqlCallers(statements),
        feed=SqlFeed(statements),
        leases=leases,
        audit=SqlAuditLog(statements),
        peppers=SqlPeppers(statements),
        replays=SqlReplays(statements),
        last_used=SqlLastUses(statements),
    )
