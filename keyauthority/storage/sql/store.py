"""The books of the authority in a database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from sqlalchemy import Select

from keyauthority.domain.callers import Caller
from keyauthority.domain.ports import Clock, Sessions, Snapshot
from keyauthority.storage.sql import snapshots
from keyauthority.storage.sql.statements import Statements
from keyauthority.storage.sql.transaction import SqlTransaction


class Database(Protocol):
    """What differs from database to database: how a transaction is opened, how a lone read runs."""

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Sequence[Any]]:
        """The rows of *query* for the *values* of its parameters, in one round trip."""

    def changing(self) -> AbstractAsyncContextManager[Statements]:
        """A transaction to change: durable when the block ends, undone if it raises."""

    def reading(self) -> AbstractAsyncContextManager[Statements]:
        """A transaction that sees one state."""


class SqlStore:
    """`Store` over a SQL database."""

    def __init__(self, database: Database, sessions: Sessions, clock: Clock) -> None:
        self.sessions = sessions
        self._database = database
        self._clock = clock

    async def snapshot(self, key_ids: Sequence[str], digests: Sequence[bytes] = ()) -> Snapshot:
        # Read before the books: a change between the two then counts as made after this time, in
        # which a verdict by the new state is right; the other way a key could be called expired
        # that was extended in time.
        time = self._clock.now()
        if digests:
            query = snapshots.SNAPSHOT_WITH_IMPORTS
            rows = await self._database.read(query, ids=key_ids, digests=digests)
        else:
            rows = await self._database.read(snapshots.SNAPSHOT, ids=key_ids)
        return snapshots.snapshot(rows, time, digests)

    async def caller(self, caller_id: str) -> Caller | None:
        rows = await self._database.read(snapshots.CALLER, ids=[caller_id])
        return Caller(*rows[0]) if rows else None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[SqlTransaction]:
        async with self._database.reading() as statements:
            yield SqlTransaction(statements, self._clock.now())

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[SqlTransaction]:
        async with self._database.changing() as statements:
            yield SqlTransaction(statements, self._clock.now())
