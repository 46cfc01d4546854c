"""The changes that alter verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from keyauthority.domain.ports import Head
from keyauthority.storage.memory.books import Books

EPOCH: Final = 1


def head(books: Books) -> Head:
    """How far *books* are: there is one change for each revision, without gaps."""
    return Head(EPOCH, len(books.subjects))


class MemoryFeed:
    """`Feed` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def head(self) -> Head:
        return head(self._books)

    async def advance(self, subjects: Sequence[str]) -> int:
        first = len(self._books.subjects) + 1
        self._books.subjects.update(enumerate(subjects, first))
        return len(self._books.subjects)

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        after = [change for change in self._books.subjects.items() if change[0] > revision]
        return after[:limit]
