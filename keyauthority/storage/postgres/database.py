"""One database that several processes read and change at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from typing import Any, Final

from sqlalchemy import NullPool, Select, event, func
from sqlalchemy.ext.asyncio import create_async_engine

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.primary import CONNECT, Primary
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.storage.errors import unavailable
from keyauthority.storage.postgres.changes import ChangingLink, commit
from keyauthority.storage.postgres.clock import DatabaseClock
from keyauthority.storage.postgres.direct import PostgresDirect, without_nul
from keyauthority.storage.postgres.link import ANSWER, Link
from keyauthority.storage.postgres.pool import Pool
from keyauthority.storage.postgres.statements import PostgresStatements
from keyauthority.storage.sql.statements import Statements

READS: Final = 8
BEATS: Final = 4
TRANSACTIONS: Final = 8


class PostgresDatabase:
    """`Database` over three pools, so that changes that wait for one another hold up no verdict,
    and verdicts no renewal of a lease.

    SQLAlchemy runs the statements of transactions; these are opened and ended on the driver, and
    lone statements run there altogether.
    """

    def __init__(self, primary: Primary, clock: Clock | None) -> None:
        self._primary = primary
        self._clock = DatabaseClock(clock)
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=primary.connect,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        event.listen(self._engine.sync_engine, "before_cursor_execute", _bare, retval=True)
        self._reads = Pool(self._plain_link, READS)
        self._beats = Pool(self._plain_link, BEATS)
        self._transactions: Pool[ChangingLink] = Pool(self._changing_link, TRANSACTIONS)
        self._direct: dict[tuple[Select[Any], bool], PostgresDirect] = {}

    async def close(self) -> None:
        """Waits a while for who is at it, then closes."""
        for pool in (self._transactions, self._beats, self._reads):
            await pool.close()

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Sequence[Any]]:
        direct = self._compiled(query)
        text, parameters = direct.bound(values)
        async with self._reads.link() as link:
            return direct.converted(await link.rows(text, *parameters))

    async def read_now(
        self, query: Select[Any], **values: Any
    ) -> tuple[Sequence[Sequence[Any]], datetime]:
        # The time when the statement arrived, which is before the moment that it sees.
        direct = self._compiled(query, func.statement_timestamp())
        text, parameters = direct.bound(values)
        async with self._reads.link() as link:
            rows = direct.converted(await link.rows(text, *parameters))
        return rows, self._clock.told(rows[0][-1])

    async def write(self, query: Select[Any], **values: Any) -> Sequence[Sequence[Any]]:
        """The rows of a *query* that writes, too; all of it has happened when this returns."""
        direct = self._compiled(query)
        text, parameters = direct.bound(values)
        async with self._beats.link() as link:
            rows = await link.rows(text, *parameters)
            if link.warned:
                raise unavailable("the standby may lack what was written")
        return direct.converted(rows)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Statements]:
        async with self._transactions.link() as link, _undone(link):
            statements = PostgresStatements(
                link, self._clock.told(await link.begin()), locking=True
            )
            with _ending(statements):
                yield statements
                statements.check()
            await to_the_end(commit(link, self._reads))

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Statements]:
        async with self._transactions.link() as link, _undone(link):
            await link.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            began = (await link.rows("SELECT now()"))[0][0]
            statements = PostgresStatements(link, self._clock.told(began), locking=False)
            with _ending(statements):
                yield statements

    async def _plain_link(self) -> Link:
        link = Link(self._primary, await self._primary.connect())
        await link.settle_plans()
        return link

    async def _changing_link(self) -> ChangingLink:
        # At its first use of a server SQLAlchemy asks it things, and waits as long as it takes.
        async with asyncio.timeout(CONNECT + ANSWER):
            sql = await self._engine.connect()
            driver: Any = (await sql.get_raw_connection()).driver_connection
        link = ChangingLink(self._primary, driver, sql)
        try:
            await link.register()
        except BaseException:
            await link.close()
            raise
        return link

    def _compiled(self, query: Select[Any], *more: Any) -> PostgresDirect:
        if (query, bool(more)) not in self._direct:
            self._direct[query, bool(more)] = PostgresDirect(query.add_columns(*more))
        return self._direct[query, bool(more)]


def _bare(
    _connection: object, _cursor: object, statement: str, parameters: Any, *_: object
) -> tuple[str, Any]:
    if isinstance(parameters, list):
        return statement, [tuple(map(without_nul, each)) for each in parameters]
    return statement, tuple(map(without_nul, parameters))


@asynccontextmanager
async def _undone(link: Link) -> AsyncIterator[None]:
    """Undoes what the block leaves without having committed it."""
    try:
        yield
    finally:
        if link.in_transaction:
            # Should it fail, the connection is dropped, and the server does it.
            with suppress(KeyAuthorityError):
                await link.run("ROLLBACK")


@contextmanager
def _ending(statements: Statements) -> Iterator[None]:
    try:
        yield
    finally:
        statements.end(RuntimeError("the transaction is over"))
