"""One connection, and the time that its work may take."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from keyauthority.base.process.tasks import to_the_end
from keyauthority.base.relational.location import PostgresUrl
from keyauthority.base.relational.outages import is_refusal
from keyauthority.base.relational.postgres import SETTINGS
from keyauthority.base.relational.primary import Primary
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.storage.errors import outages

T = TypeVar("T")

LIFETIME: Final = 1800.0
"""Seconds after which a connection is replaced."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the server is waited for, in seconds.

    `answer` is what a statement may take, waiting for locks included. `outcome` is how long the
    outcome of an unanswered commit is looked for: longer than an abandoned transaction lasts.
    """

    answer: float = 5.0
    outcome: float = 15.0


PATIENCE: Final = Patience()


def primary_of(url: PostgresUrl, more: Mapping[str, str] = {}) -> Primary:  # read only
    """Returns the primary that *url* leads to, for sessions that have `SETTINGS` and *more*."""
    return Primary(url, "keyauthority", {**SETTINGS, **more})


class Link:
    """A connection to the *primary*; `sql` is SQLAlchemy's connection over it, if there is one.

    asyncpg would end a slow or cancelled statement by asking the server to cancel it. That may hit
    the commit instead, which then stands although no standby has it. So nothing is ever cancelled
    here: a statement runs to its end, and one that takes too long loses its connection.

    `warned` is whether the server had a warning with the last statement. With a commit, the warning
    says that nobody waits any longer for the standby to have it. (It is known by its severity,
    since its words are in the server's language.)
    """

    def __init__(
        self,
        primary: Primary,
        driver: asyncpg.Connection,
        sql: AsyncConnection | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        self.driver = driver
        self.sql = sql
        self.warned = False
        self._primary = primary
        self._patience = patience
        self._end = asyncio.get_running_loop().time() + LIFETIME
        driver.add_log_listener(self._note_warning)

    @property
    def usable(self) -> bool:
        """Whether the connection is open, idle, young, and its host has left none unanswered."""
        young = asyncio.get_running_loop().time() < self._end
        idle = not self.driver.is_closed() and not self.driver.is_in_transaction()
        return young and idle and self._primary.is_trusted(self.driver)

    @property
    def in_transaction(self) -> bool:
        """Whether there is a transaction to end."""
        return not self.driver.is_closed() and bool(self.driver.is_in_transaction())

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Does *work* on the connection to its end, within the patience for an answer.

        Raises `STORE_UNAVAILABLE` for outages.
        """
        cut = asyncio.get_running_loop().call_later(self._patience.answer, self._cut)
        try:
            with outages():
                return await to_the_end(work)
        except Exception as error:
            failure = error.__cause__ if isinstance(error, KeyAuthorityError) else error
            if failure is None or not is_refusal(failure):
                # Nobody may use the connection in whatever state it is now.
                self.driver.terminate()
            raise
        finally:
            cut.cancel()

    async def rows(self, text: str, *parameters: Any) -> list[Any]:
        """Returns the rows of the statement. One that writes has committed by then."""
        self.warned = False
        rows: list[Any] = await self.within(self.driver.fetch(text, *parameters))
        return rows

    async def run_each(self, text: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Runs the statement for each of *parameters*, in one round trip."""
        await self.within(self.driver.executemany(text, parameters))

    async def settle_plans(self) -> None:
        """Has the server plan each statement once, and not at each use, which takes most of its time.

        By its indexes: as long as tables are small or unknown to the planner, it would choose to
        scan them, and still do so when they have grown.
        """
        await self.run("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")

    async def run(self, command: str) -> None:
        """Runs *command*, which has no rows."""
        await self.within(self.driver.execute(command))

    async def commit(self) -> str:
        """Commits, however long that takes, and returns the server's status. Not to be cancelled."""
        self.warned = False
        status: str = await self.driver.execute("COMMIT")
        return status

    async def close(self) -> None:
        """Cuts the connection. The server undoes what it was doing for it."""
        self.driver.terminate()
        if self.sql is not None:
            await self.sql.close()

    def _cut(self) -> None:
        self._primary.distrust(self.driver)
        self.driver.terminate()

    def _note_warning(self, _driver: object, message: Any) -> None:
        if message.severity_en == "WARNING":
            self.warned = True
