"""The changes that alter verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from keyauthority.domain.revisions import Head
from keyauthority.storage.memory.books import Books


def head(books: Books) -> Head:
    """How far *books* are."""
    return Head(books.epoch, books.revision)


class MemoryFeed:
    """`Feed` within one transaction."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def head(self) -> Head:
        return head(self._books)

    async def advance(self, subjects: Sequence[str]) -> int:
        self._books.subjects.update(enumerate(subjects, self._books.revision + 1))
        self._books.revision += len(subjects)
        return self._books.revision

    async def since(self, revision: int, limit: int) -> list[tuple[int, str]]:
        after = [change for change in self._books.subjects.items() if change[0] > revision]
        return after[:limit]

    async def prune(self, keep: int) -> int:
        old = [one for one in self._books.subjects if one <= self._books.revision - keep]
        for revision in old:
            del self._books.subjects[revision]
        return len(old)
