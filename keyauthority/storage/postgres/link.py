"""One connection, and the time that what it does may take."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import is_refusal
from keyauthority.base.relational.postgres import SETTINGS
from keyauthority.base.relational.primary import Primary
from keyauthority.storage.errors import outages

T = TypeVar("T")

ANSWER: Final = 5.0
"""Seconds that a statement may take, waiting for locks included."""

LIFETIME: Final = 1800.0
"""Seconds after which a connection is replaced."""


def primary_of(url: PostgresUrl, more: Mapping[str, str] = {}) -> Primary:  # read only
    """The primary that *url* leads to, for sessions that have `SETTINGS` and *more*."""
    return Primary(url, "keyauthority", {**SETTINGS, **more})


class Link:
    """A connection to the *primary*; `sql` is SQLAlchemy's hold on it, if it has one.

    asyncpg would end what takes too long, or is cancelled, by asking the server to cancel it. That
    may hit the commit instead, which then stands although it was never copied to a standby. So here
    nothing is ever cancelled: what was begun is waited for, and what takes too long loses its
    connection.
    """

    def __init__(
        self, primary: Primary, driver: asyncpg.Connection, sql: AsyncConnection | None = None
    ) -> None:
        self.driver = driver
        self._primary = primary
        self.sql = sql
        self._warned = False
        self._end = asyncio.get_running_loop().time() + LIFETIME
        driver.add_log_listener(self._heard)

    @property
    def usable(self) -> bool:
        """Whether it is open, idle, not too old, and no other one to its host was left unanswered."""
        young = asyncio.get_running_loop().time() < self._end
        idle = not self.driver.is_closed() and not self.driver.is_in_transaction()
        return young and idle and self._primary.is_trusted(self.driver)

    @property
    def in_transaction(self) -> bool:
        """Whether there is a transaction to end."""
        return not self.driver.is_closed() and bool(self.driver.is_in_transaction())

    async def within(self, work: Coroutine[Any, Any, T], seconds: float = ANSWER) -> T:
        """Does *work* on the connection to its end, which comes after *seconds* at the latest.

        Raises `STORE_UNAVAILABLE` for outages.
        """
        cut = asyncio.get_running_loop().call_later(seconds, self._cut)
        try:
            with outages():
                return await to_the_end(work)
        except Exception as error:
            if not is_refusal(error.__cause__ or error):
                # Whatever state it is in, nobody is to have it after this.
                self.driver.terminate()
            raise
        finally:
            cut.cancel()

    async def rows(self, text: str, *parameters: Any) -> list[Any]:
        """The rows that the statement gives. One that writes has committed when it returns."""
        self._warned = False
        rows: list[Any] = await self.within(self.driver.fetch(text, *parameters))
        return rows

    async def settle_plans(self) -> None:
        """Has each statement planned once, and not at each use, which takes most of its time.

        By its indexes: as long as tables are small or unknown to the planner, it would choose to
        look through them, and stay with it when they have grown.
        """
        await self.run("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")

    async def run(self, command: str) -> None:
        """Runs *command*, which gives no rows."""
        await self.within(self.driver.execute(command))

    async def commit(self) -> str:
        """Commits, however long that takes, and gives what the server says that it did.

        Not to be cancelled.
        """
        self._warned = False
        done: str = await self.driver.execute("COMMIT")
        return done

    @property
    def warned(self) -> bool:
        """Whether the server had a warning to give with the last statement.

        With a commit, it is that nobody waits any longer for the standby to have it, too. (Known by
        its severity, since its words are in the server's language.)
        """
        return self._warned

    async def close(self) -> None:
        """Cuts the connection. Whatever the server was doing for it, it undoes."""
        self.driver.terminate()
        if self.sql is not None:
            await self.sql.close()

    def _cut(self) -> None:
        self._primary.silent(self.driver)
        self.driver.terminate()

    def _heard(self, _driver: object, message: Any) -> None:
        if message.severity_en == "WARNING":
            self._warned = True
