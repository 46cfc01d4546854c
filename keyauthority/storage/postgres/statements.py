"""Running the statements of one transaction on PostgreSQL, where others change at the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import CursorResult, Executable, func, select

from keyauthority.storage.errors import outages
from keyauthority.storage.postgres.link import Link
from keyauthority.storage.sql.statements import Statements

CHANNEL: Final = "keyauthority"
"""Where the making of a change that alters verdicts is announced."""


class PostgresStatements(Statements):
    """`Statements` on one connection. Subjects are locked by a number made of their name."""

    def __init__(self, link: Link, time: datetime, *, locking: bool) -> None:
        assert link.sql is not None  # noqa: S101  # a mistake of ours
        super().__init__(link.sql, outages, time, locking=locking)
        self._link = link
        self._held: set[tuple[str, str]] = set()

    async def alone(self, subject: str) -> None:
        await self._hold(func.pg_advisory_xact_lock, subject)

    async def together(self, subject: str) -> None:
        await self._hold(func.pg_advisory_xact_lock_shared, subject)

    async def tell(self) -> None:
        _ = await self.row(select(func.pg_notify(CHANNEL, "")))

    async def _hold(self, lock: Callable[[int], Any], subject: str) -> None:
        held = (str(lock), subject)
        if self._locking and held not in self._held:
            _ = await self.row(select(lock(number_of(subject))))
            self._held.add(held)

    async def _execute(self, statement: Executable, values: Any) -> CursorResult[*tuple[Any, ...]]:
        return await self._link.within(self._connection.execute(statement, values))


def number_of(subject: str) -> int:
    """The number, of 64 bits, that *subject* is locked by."""
    return int.from_bytes(blake2b(subject.encode(), digest_size=8).digest(), "big", signed=True)
