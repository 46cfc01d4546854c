"""Limits on how often something is tried, across all processes.

A limit's attempts are regained one by one. Each row stores only when all of them are regained.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from console.people.database import AnyRow, Database, Transaction
from console.people.records import Limit, digest
from console.people.tables import attempts

_NONE = timedelta(0)


class _RefusedError(Exception):
    """Rolls the transaction back, so that refused attempts leave no rows behind."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class Attempts:
    """The counters of attempts, stored by digest: nobody can read addresses from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(self, limits: Sequence[Limit]) -> timedelta:
        """Returns how long until all *limits* allow an attempt; counts none."""
        digests = [digest(limit.name) for limit in limits]
        query = select(attempts).where(attempts.c.digest.in_(digests))
        async with self._database.reading() as tx:
            full = {row.digest: row.full_time for row in await tx.all(query)}
            waits = [_wait(limit, full.get(digest(limit.name), tx.now), tx.now) for limit in limits]
        return max(waits, default=_NONE)

    async def count(self, limits: Sequence[Limit]) -> timedelta:
        """Counts an attempt against each limit and returns zero, if all limits allow it.

        Otherwise counts none and returns how long until they do. Concurrent calls never exceed the
        limits.
        """
        try:
            async with self._database.changing() as tx:
                await _take(tx, limits)
        except _RefusedError as error:
            return error.wait
        return _NONE

    async def give_back(self, limits: Sequence[Limit]) -> None:
        """Gives one counted attempt back to each limit."""
        async with self._database.changing() as tx:
            for limit, row in await _locked(tx, limits):
                await _set(tx, row, max(row.full_time - limit.per / limit.most, tx.now))

    async def forget(self, limits: Sequence[Limit]) -> None:
        """Gives all counted attempts back to the limits."""
        digests = [digest(limit.name) for limit in limits]
        async with self._database.changing() as tx:
            await tx.execute(delete(attempts).where(attempts.c.digest.in_(digests)))


def _wait(limit: Limit, full_time: datetime, now: datetime) -> timedelta:
    after_one_more = max(full_time, now) + limit.per / limit.most
    return max(_NONE, after_one_more - limit.per - now)


async def _take(tx: Transaction, limits: Sequence[Limit]) -> None:
    rows = await _locked(tx, limits)
    waits = [_wait(limit, row.full_time, tx.now) for limit, row in rows]
    if any(waits):
        raise _RefusedError(max(waits))
    for limit, row in rows:
        await _set(tx, row, max(row.full_time, tx.now) + limit.per / limit.most)


async def _locked(tx: Transaction, limits: Sequence[Limit]) -> list[tuple[Limit, AnyRow]]:
    # Every transaction locks the rows in the same order.
    by_digest = dict(sorted((digest(limit.name), limit) for limit in limits))
    unchanged = {"full_time": attempts.c.full_time}
    return [
        (limit, await tx.put(attempts, {"digest": key, "full_time": tx.now}, "digest", unchanged))
        for key, limit in by_digest.items()
    ]


async def _set(tx: Transaction, row: AnyRow, full_time: datetime) -> None:
    counted = update(attempts).where(attempts.c.digest == row.digest)
    await tx.execute(counted.values(full_time=full_time))
