"""The books of the authority in a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select

from keyauthority.domain.callers import Caller
from keyauthority.domain.ports import Sessions, Snapshot
from keyauthority.domain.repositories import Transaction
from keyauthority.storage.sql import snapshots
from keyauthority.storage.sql.audit import SqlAuditLog
from keyauthority.storage.sql.keys import SqlKeys
from keyauthority.storage.sql.leases import SqlFeed, SqlLeases
from keyauthority.storage.sql.ledger import SqlLedger
from keyauthority.storage.sql.peppers import SqlLastUses, SqlPeppers
from keyauthority.storage.sql.prices import SqlPrices
from keyauthority.storage.sql.records import SqlCallers, SqlReplays, SqlWorkspaces
from keyauthority.storage.sql.slices import SqlSlices
from keyauthority.storage.sql.statements import Statements

Result = TypeVar("Result")


class Database(Protocol):
    """What differs between databases: how a transaction is opened, how a single read runs."""

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        """Returns the rows of *query* for the *values* of its parameters, in one round trip."""

    async def read_now(self, query: Select[Any], **values: Any) -> tuple[Sequence[Any], datetime]:
        """Returns the same, at least one row, and the time just before the read.

        With the time after it, a key that was extended in time could be called expired. A change
        between the two counts as made after this time: a verdict by the new state is right.
        """

    async def change(self, work: Callable[[Statements], Awaitable[Result]]) -> Result:
        """Runs *work* in a transaction and commits it; an exception rolls back."""

    async def view(self, work: Callable[[Statements], Awaitable[Result]]) -> Result:
        """Runs *work* in a transaction that sees one state, and rolls back."""


class SqlStore:
    """`Store` over a SQL database."""

    changes_at_once = 2

    def __init__(self, database: Database, sessions: Sessions) -> None:
        self.sessions = sessions
        self._database = database

    async def snapshot(
        self,
        key_ids: Sequence[str],
        digests: Sequence[bytes] = (),
        secrets: Sequence[bytes] | None = None,
    ) -> Snapshot:
        query = snapshots.query_for(key_ids, digests, secrets)
        rows, time = await self._database.read_now(
            query, ids=key_ids, digests=digests, secrets=secrets
        )
        return snapshots.snapshot(rows, time, digests)

    async def caller(self, caller_id: str) -> Caller | None:
        rows = await self._database.read(snapshots.CALLER, ids=[caller_id])
        return Caller(**rows[0]._asdict()) if rows else None

    async def read(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        return await self._database.view(
            lambda statements: work(transaction(statements, SqlLeases(statements)))
        )

    async def change(self, work: Callable[[Transaction], Awaitable[Result]]) -> Result:
        return await self._database.change(
            lambda statements: work(transaction(statements, SqlLeases(statements)))
        )


def transaction(statements: Statements, leases: SqlLeases) -> Transaction:
    """Returns the repositories over *statements*."""
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
        ledger=SqlLedger(statements),
        prices=SqlPrices(statements),
        slices=SqlSlices(statements),
        savepoint=statements.savepoint,
    )
