"""Transactions that change, and their outcome if the connection broke during the commit."""

from __future__ import annotations

import asyncio
import secrets
from datetime import datetime
from typing import Any, Final

from keyauthority.base.relational.outages import LOST, is_refusal
from keyauthority.domain.errors import KeyAuthorityError
from keyauthority.storage.errors import outages, unavailable
from keyauthority.storage.postgres.link import Link
from keyauthority.storage.postgres.pool import Pool

_NOW: Final = "(extract(epoch FROM now()) * 1000000)::bigint"

# Deletes the rows of connections that ended long ago: none lives for a day.
_REGISTER: Final = f"""
WITH gone AS (DELETE FROM commits WHERE time < {_NOW} - 86400000000)
INSERT INTO commits (connection, number, time) VALUES ($1, 0, {_NOW})
"""  # noqa: S608  # of constants only
_NUMBER: Final = f"""
UPDATE commits SET number = $2, time = {_NOW} WHERE connection = $1 RETURNING now() AS began
"""  # noqa: S608
# Waits for the end of the transaction in question, and commits a lock of its own: by then, the row
# that the answer rests on is where commits are promised to be.
_LOOK: Final = "SELECT number FROM commits WHERE connection = $1 FOR UPDATE"


class ChangingLink(Link):
    """A connection that numbers its changes in the table `commits`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._id = secrets.token_hex(16)
        self._number = 0

    async def register(self) -> None:
        """Inserts the row that holds the number of the last change."""
        await self.rows(_REGISTER, self._id)

    async def begin(self) -> datetime:
        """Begins a transaction that changes, and returns when it began."""
        await self.run("BEGIN ISOLATION LEVEL READ COMMITTED")
        self._number += 1
        [row] = await self.rows(_NUMBER, self._id, self._number)
        began: datetime = row["began"]
        return began

    async def commit_surely(self, others: Pool[Link]) -> None:
        """Returns when the change is committed.

        Raises `STORE_UNAVAILABLE` if it is not, or if *others* can't find that out.
        """
        try:
            status = await self.commit()
        except Exception as error:
            with outages():
                if is_refusal(error):
                    raise
            if not await self._is_committed(others):
                raise unavailable(f"{LOST}; nothing was changed") from error
            return
        if self.warned:
            raise unavailable("the change is made, but the standby may lack it")
        if status != "COMMIT":
            raise unavailable("the database undid the change")

    async def _is_committed(self, others: Pool[Link]) -> bool:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience.outcome
        while loop.time() < end:
            try:
                async with others.link() as link:
                    rows = await link.rows(_LOOK, self._id)
                    if rows and not link.warned:
                        return bool(rows[0]["number"] == self._number)
            except KeyAuthorityError:
                await asyncio.sleep(0.1)
            else:
                break
        raise unavailable(f"{LOST} before it said whether the change is made")
