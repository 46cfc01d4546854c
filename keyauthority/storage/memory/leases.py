"""The terms of leases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keyauthority.domain.revisions import Head
from keyauthority.domain.sessions import Terms
from keyauthority.storage.memory.books import Books
from keyauthority.storage.memory.feed import head


class MemoryLeases:
    """`Leases` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def terms(self) -> Terms:
        return self._books.terms

    async def put(self, terms: Terms) -> None:
        self._books.terms = replace(terms, version=self._books.terms.version + 1)

    async def begin(self) -> bool:
        # What these books knew of died with the process that had them.
        return True

    async def end(self) -> None:
        pass

    async def begin_epoch(self, time: datetime) -> Head:
        self._books.epoch = max(self._books.epoch + 1, int(time.timestamp() * 1000))
        self._books.terms = replace(self._books.terms, settling=True)
        return head(self._books)
