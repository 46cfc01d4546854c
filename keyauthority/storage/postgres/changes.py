"""Transactions that change, and what became of them if the connection broke in the commit."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from keyauthority.base.relational.outages import LOST, is_refusal
from keyauthority.base.relational.primary import Primary
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.storage.errors import outages, unavailable
from keyauthority.storage.postgres.link import Link
from keyauthority.storage.postgres.pool import Pool

LOOKING: Final = 15.0
"""Seconds after which it is no longer asked what became of a commit. Longer than a transaction that
was left behind lasts."""

_NOW: Final = "(extract(epoch FROM now()) * 1000000)::bigint"

# With it go those of connections that ended long ago: none lives for a day.
_REGISTER: Final = f"""
WITH gone AS (DELETE FROM commits WHERE time < {_NOW} - 86400000000)
INSERT INTO commits (connection, number, time) VALUES ($1, 0, {_NOW})
"""  # noqa: S608  # of constants only
_NUMBER: Final = f"""
UPDATE commits SET number = $2, time = {_NOW} WHERE connection = $1 RETURNING now() AS began
"""  # noqa: S608
# Waits for the end of the transaction in question, and commits a lock of its own: what the answer
# rests on is by then where commits are promised to be.
_LOOK: Final = "SELECT number FROM commits WHERE connection = $1 FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Mark:
    """What to look for when a commit was not answered."""

    connection: str
    number: int


class ChangingLink(Link):
    """A connection that numbers its changes in the table `commits`."""

    def __init__(self, primary: Primary, driver: asyncpg.Connection, sql: AsyncConnection) -> None:
        super().__init__(primary, driver, sql)
        self.mark = Mark(secrets.token_hex(16), 0)

    async def register(self) -> None:
        """Makes the row that the changes are numbered in."""
        _ = await self.rows(_REGISTER, self.mark.connection)

    async def begin(self) -> datetime:
        """Begins a transaction that changes, and says when."""
        await self.run("BEGIN ISOLATION LEVEL READ COMMITTED")
        self.mark = Mark(self.mark.connection, self.mark.number + 1)
        rows = await self.rows(_NUMBER, self.mark.connection, self.mark.number)
        began: datetime = rows[0]["began"]
        return began


async def commit(link: ChangingLink, others: Pool[Link]) -> None:
    """Returns when the change is made.

    Raises `STORE_UNAVAILABLE` if it was not, and if that can't be found out by way of *others*.
    """
    try:
        done = await link.commit()
    except Exception as error:
        with outages():
            if is_refusal(error):
                raise
        if not await _was_made(link.mark, others):
            raise unavailable(f"{LOST}; nothing was changed") from error
        return
    if link.warned:
        raise unavailable("the change is made, but the standby may lack it")
    if done != "COMMIT":
        raise unavailable("the database undid the change")


async def _was_made(mark: Mark, others: Pool[Link]) -> bool:
    loop = asyncio.get_running_loop()
    end = loop.time() + LOOKING
    while loop.time() < end:
        try:
            async with others.link() as link:
                rows = await link.rows(_LOOK, mark.connection)
                if rows and not link.warned:
                    return bool(rows[0]["number"] == mark.number)
        except KeyAuthorityError:
            await asyncio.sleep(0.1)
        else:
            break
    raise unavailable(f"{LOST} before it said whether the change is made")
