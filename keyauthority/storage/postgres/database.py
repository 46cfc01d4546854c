"""A database that several processes read and change at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import NullPool, Select, event, func

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.postgres import engine_of
from keyauthority.base.relational.primary import CONNECT, Primary
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.domain.ports import Clock
from keyauthority.storage.errors import unavailable
from keyauthority.storage.postgres.changes import ChangingLink
from keyauthority.storage.postgres.direct import PostgresDirect, storable
from keyauthority.storage.postgres.link import PATIENCE, Link, Patience
from keyauthority.storage.postgres.pool import Pool
from keyauthority.storage.postgres.statements import PostgresStatements
from keyauthority.storage.sql.statements import Statements

T = TypeVar("T")

READS: Final = 8
BEATS: Final = 4
TRANSACTIONS: Final = 8


class PostgresDatabase:
    """`Database` over three pools, so that changes that wait for one another hold up no verdict,
    and verdicts no renewal of a lease.

    SQLAlchemy runs the statements of transactions; the driver begins and ends these, and runs
    single statements by itself.
    """

    def __init__(
        self, primary: Primary, clock: Clock | None, patience: Patience = PATIENCE
    ) -> None:
        self._primary = primary
        self._clock = DatabaseClock(clock)
        self._patience = patience
        self._engine = engine_of(primary, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        event.listen(self._engine.sync_engine, "before_cursor_execute", _bare, retval=True)
        self._reads = Pool(self._plain_link, READS)
        self._beats = Pool(self._plain_link, BEATS)
        self._transactions: Pool[ChangingLink] = Pool(self._changing_link, TRANSACTIONS)
        self._direct: dict[tuple[Select[Any], bool], PostgresDirect] = {}

    async def close(self) -> None:
        """Waits a while for the work under way, then closes."""
        for pool in (self._transactions, self._beats, self._reads):
            await pool.close()

    async def read(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        return await self._rows(self._reads, self._compiled(query), values)

    async def read_now(self, query: Select[Any], **values: Any) -> tuple[Sequence[Any], datetime]:
        # The time when the statement arrived, which is before the moment that it sees.
        direct = self._compiled(query, func.statement_timestamp().label("read_time"))
        rows = await self._rows(self._reads, direct, values)
        return rows, self._clock.advance(rows[0].read_time)

    async def write(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        """Returns the rows of a *query* that also writes, once it has committed."""
        return await self._rows(self._beats, self._compiled(query), values, writes=True)

    async def change(self, work: Callable[[Statements], Awaitable[T]]) -> T:
        async with self.changing() as statements:
            return await work(statements)

    async def view(self, work: Callable[[Statements], Awaitable[T]]) -> T:
        async with self._transactions.link() as link, _rolled_back(link):
            await link.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            [row] = await link.rows("SELECT now() AS began")
            time = self._clock.advance(row["began"])
            with closing(PostgresStatements(link, time, locking=False)) as statements:
                return await work(statements)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Statements]:
        """Opens a transaction to change: durable when the block ends, undone if it raises."""
        async with self._transactions.link() as link, _rolled_back(link):
            time = self._clock.advance(await link.begin())
            with closing(PostgresStatements(link, time, locking=True)) as statements:
                yield statements
                statements.check()
            await to_the_end(link.commit_surely(self._reads))

    async def _rows(
        self,
        pool: Pool[Link],
        direct: PostgresDirect,
        values: Mapping[str, Any],
        *,
        writes: bool = False,
    ) -> Sequence[Any]:
        text, parameters = direct.bound(values)
        async with pool.link() as link:
            rows = await link.rows(text, *parameters)
            if writes and link.warned:
                raise unavailable("the standby may lack what was written")
        return direct.converted(rows)

    async def _plain_link(self) -> Link:
        link = Link(self._primary, await self._primary.connect(), None, self._patience)
        await link.settle_plans()
        return link

    async def _changing_link(self) -> ChangingLink:
        # At its first use of a server SQLAlchemy queries it, and waits as long as that takes.
        async with asyncio.timeout(CONNECT + self._patience.answer):
            sql = await self._engine.connect()
            driver: Any = (await sql.get_raw_connection()).driver_connection
        link = ChangingLink(self._primary, driver, sql, self._patience)
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
        return statement, [tuple(map(storable, row)) for row in parameters]
    return statement, tuple(map(storable, parameters))


@asynccontextmanager
async def _rolled_back(link: Link) -> AsyncIterator[None]:
    """Rolls back what the block leaves uncommitted."""
    try:
        yield
    finally:
        if link.in_transaction:
            # If it fails, the connection is dropped, and the server rolls back.
            with suppress(KeyAuthorityError):
                await link.run("ROLLBACK")


class DatabaseClock:
    """Follows the database's clock, but never back to an earlier time.

    Otherwise a clock that is set back, or a failover to a server whose clock is behind, would revive
    an expired key. With *instead*, that clock's time counts: for tests.
    """

    def __init__(self, instead: Clock | None) -> None:
        self._instead = instead
        self._latest = datetime.min.replace(tzinfo=UTC)

    def advance(self, time: datetime) -> datetime:
        """Returns the time that counts when the database says that it is *time*."""
        if self._instead is not None:
            return self._instead.now()
        self._latest = max(self._latest, time)
        return self._latest
