"""How often something was tried, across all processes.

Each name has a number of attempts, which come back one by one. One moment says all about it: when
the last of them will have come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update

from console.people.database import Database, Transaction
from console.people.records import Limit
from console.people.tables import attempts
from console.people.tokens import digest

_NONE = timedelta(0)


class _RefusedError(Exception):
    """Undoes the transaction: who is refused leaves no rows behind."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__()
        self.wait = wait


class Attempts:
    """Kept by the digest of what they are counted for: an address is not to be read from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def wait(self, limits: Sequence[Limit]) -> timedelta:
        """How long until all *limits* allow an attempt; zero: they do. Nothing is counted."""
        digests = [digest(limit.name) for limit in limits]
        query = select(attempts).where(attempts.c.digest.in_(digests))
        async with self._database.reading() as tx:
            full = {row.digest: row.full_time for row in await tx.all(query)}
            waits = [_wait(limit, full.get(digest(limit.name), tx.now), tx.now) for limit in limits]
        return max(waits, default=_NONE)

    async def count(self, limits: Sequence[Limit]) -> timedelta:
        """Takes an attempt of each limit if all allow it (zero), else none: how long until they do.

        Of many who count at the same time, no more are allowed than the limits say.
        """
        try:
            async with self._database.changing() as tx:
                await _take(tx, limits)
        except _RefusedError as error:
            return error.wait
        return _NONE

    async def give_back(self, limits: Sequence[Limit]) -> None:
        """Gives one attempt of each limit back: it was none of those that are limited."""
        by_digest = dict(sorted((digest(limit.name), limit) for limit in limits))
        async with self._database.changing() as tx:
            for key, limit in by_digest.items():
                before = await _locked(tx, key) - limit.per / limit.most
                counted = update(attempts).where(attempts.c.digest == key)
                await tx.count(counted.values(full_time=max(before, tx.now)))

    async def forget(self, limits: Sequence[Limit]) -> None:
        """Gives all attempts back."""
        digests = [digest(limit.name) for limit in limits]
        async with self._database.changing() as tx:
            await tx.count(delete(attempts).where(attempts.c.digest.in_(digests)))


def _wait(limit: Limit, full_time: datetime, now: datetime) -> timedelta:
    after_one_more = max(full_time, now) + limit.per / limit.most
    return max(_NONE, after_one_more - limit.per - now)


async def _take(tx: Transaction, limits: Sequence[Limit]) -> None:
    # Always locked in the same order.
    by_digest = dict(sorted((digest(limit.name), limit) for limit in limits))
    full = {key: await _locked(tx, key) for key in by_digest}
    waits = [_wait(limit, full[key], tx.now) for key, limit in by_digest.items()]
    if any(waits):
        raise _RefusedError(max(waits))
    for key, limit in by_digest.items():
        after = max(full[key], tx.now) + limit.per / limit.most
        counted = update(attempts).where(attempts.c.digest == key)
        await tx.count(counted.values(full_time=after))


async def _locked(tx: Transaction, key: bytes) -> datetime:
    row = tx.insert(attempts).values(digest=key, full_time=tx.now)
    kept = row.on_conflict_do_update(
        index_elements=["digest"], set_={"full_time": attempts.c.full_time}
    )
    found = await tx.one(kept.returning(attempts.c.full_time))
    assert found is not None  # noqa: S101  # inserted or updated
    full_time: datetime = found.full_time
    return full_time
