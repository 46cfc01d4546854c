"""The price table in memory: read again only once it has changed."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from keyauthority.domain.credits.pricing import SUBJECT
from keyauthority.domain.repositories import Transaction
from keyauthority.domain.sessions import Head
from keyauthority.pricing.prices import PriceTable

_CHANGES: Final = 1_000
"""Changes that are looked through for one of the prices; beyond, the table is read again."""


class PriceCache:
    """The table of one process, and the state of the books that it is of."""

    def __init__(self) -> None:
        self._table = PriceTable(())
        self._head: Head | None = None
        self._since: datetime | None = None

    async def table(self, tx: Transaction, since: datetime) -> PriceTable:
        """Returns the table as *tx* sees it, for requests of *since* or later."""
        # The head first: a table that is newer than its head is read once too often, never too late.
        head = await tx.feed.head()
        if not await self._holds(tx, head, since):
            self._table, self._since = PriceTable(await tx.prices.current(since)), since
        self._head = head
        return self._table

    async def _holds(self, tx: Transaction, head: Head, since: datetime) -> bool:
        if self._head is None or self._since is None or self._since > since:
            return False
        if self._head == head:
            return True
        if self._head.epoch != head.epoch:
            return False
        changes = await tx.feed.since(self._head.revision, _CHANGES)
        # Fewer than there were: they are too many, or no longer kept.
        are_all = len(changes) == head.revision - self._head.revision
        return are_all and all(subject != SUBJECT for _, subject in changes)
